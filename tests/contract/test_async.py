"""The async methods never block their event loop."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockingError

from langgraph_checkpoint_s3 import S3Saver
from tests.contract.front import Front
from tests.contract.scripts import assert_clean, script
from tests.contract.support import (
    MIB,
    MakeSaver,
    Place,
    at,
    checkpoint,
    guarded,
    metadata,
    noise,
)
from tests.support import inside


class TestNothingBlocks:
    def test_the_guard_works(self) -> None:
        async def read() -> None:
            Path(__file__).read_text()  # noqa: ASYNC240  # that is what the guard is for

        with pytest.raises(BlockingError):
            guarded(read())

    def test_first_use(self, place: Place) -> None:
        """Imports, the client, credentials and connections: all of them in a fresh process."""
        assert_clean(
            script(
                place,
                """
                with blockbuster_ctx():
                    asyncio.run(use())
                """,
            )
        )

    @pytest.mark.parametrize("how", ["file", "process", "profile"])
    def test_first_use_with_other_credentials(self, place: Place, tmp_path: Path, how: str) -> None:
        key, secret = place.server.access_key, place.server.secret_key
        config, shared = tmp_path / "config", tmp_path / "credentials"
        config.write_text("")
        shared.write_text("")
        keys = f"aws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
        variables = {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(shared)}
        if how == "file":
            shared.write_text(f"[default]\n{keys}")
        elif how == "profile":
            config.write_text(f"[profile mine]\n{keys}")
            variables["AWS_PROFILE"] = "mine"
        else:
            expiry = (datetime.now(timezone.utc) + timedelta(hours=2)).isoformat()
            said = {"Version": 1, "AccessKeyId": key, "SecretAccessKey": secret, "Expiration": expiry}
            (tmp_path / "said.json").write_text(json.dumps(said))
            config.write_text(f"[default]\ncredential_process = cat {tmp_path / 'said.json'}\n")
        assert_clean(
            script(
                place,
                """
                import os
                del os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
                with blockbuster_ctx():
                    asyncio.run(use())
                """,
                **variables,
            )
        )

    def test_credentials_that_run_out_are_renewed_on_every_loop(self, place: Place, tmp_path: Path) -> None:
        """Ones that are always about to expire: each request renews them, many at once, on many loops."""
        key, secret = place.server.access_key, place.server.secret_key
        program = tmp_path / "credentials.py"
        program.write_text(
            "import datetime as d, json\n"
            "expiry = d.datetime.now(d.timezone.utc) + d.timedelta(minutes=5)\n"
            f"print(json.dumps(dict(Version=1, AccessKeyId={key!r}, SecretAccessKey={secret!r},"
            " Expiration=expiry.isoformat())))\n"
        )
        config = tmp_path / "config"
        config.write_text(f"[default]\ncredential_process = {sys.executable} -S {program}\n")
        assert_clean(
            script(
                place,
                """
                import os
                del os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]

                async def require_iterable():
                    await asyncio.gather(*(use(f"thread-{number}") for number in range(2)))

                for _ in range(2):
                    with blockbuster_ctx():
                        asyncio.run(require_iterable())
                """,
                AWS_CONFIG_FILE=str(config),
            )
        )

    def test_every_method(self, make_saver: MakeSaver) -> None:
        async def use() -> None:
            saver = make_saver()
            await saver.asetup()
            config = await saver.aput(at(), checkpoint({"raw": noise(6 * MIB)}), metadata(), {})
            await saver.aput_writes(config, [("a", 1)], "task")
            inside.shared(saver).cache.clear()
            assert await saver.aget_tuple(at())
            assert [shown async for shown in saver.alist(at(), filter={"x": 1})] == []
            await saver.aget_delta_channel_history(config=at(), channels=["a"])
            await saver.acopy_thread("thread", "copy")
            await saver.aprune(["copy"])
            await saver.adelete_for_runs(["none"])
            await saver.adelete_thread("thread")
            await saver.aclose()

        guarded(use())

    def test_tls(self, place: Place, tls: Front) -> None:
        loads: list[bool] = []
        load = ssl.SSLContext.load_verify_locations

        def noting(context: ssl.SSLContext, *args: Any, **kwargs: Any) -> None:
            try:
                asyncio.get_running_loop()
                loads.append(True)
            except RuntimeError:
                loads.append(False)
            load(context, *args, **kwargs)

        async def use() -> None:
            saver = S3Saver(place.bucket, endpoint_url=tls.url, region="us-east-1")
            await saver.aput(at(), checkpoint(), metadata(), {})
            assert await saver.aget_tuple(at())
            await saver.aclose()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ssl.SSLContext, "load_verify_locations", noting)
            guarded(use())
        assert loads
        assert not any(loads), "certificates are read from disk, which takes 20 ms: not on the loop"
        assert set(tls.counts()) == {"PutObject", "ListObjectsV2"}

    @pytest.fixture
    def tls(self, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
        certificate = self_signed(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        with Front(place.server.endpoint_url, context) as front:
            yield front


def self_signed(folder: Path) -> Path:
    """A certificate for 127.0.0.1, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path
