"""asyncio: nothing blocks the loop, nothing is left behind, and one saver serves any number of loops."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import ssl
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockingError, blockbuster_ctx

from langgraph_checkpoint_s3 import S3Saver
from tests.contract.fixtures import environment
from tests.contract.front import Front, Hold
from tests.contract.support import (
    MIB,
    MakeSaver,
    Place,
    at,
    build_thread,
    checkpoint,
    guarded,
    metadata,
    noise,
)

ROOT = Path(__file__).parents[2]
LEFT_BEHIND = (
    "Unclosed",
    "never retrieved",
    "never awaited",
    "ResourceWarning",
    "Warning",
    "Traceback",
    "Exception",
)

PREAMBLE = """\
import asyncio, gc, sys
from blockbuster import blockbuster_ctx
from langgraph_checkpoint_s3 import S3Saver
from tests.contract.support import at, checkpoint, metadata

bucket, url = sys.argv[1:]
saver = S3Saver(bucket, endpoint_url=url, region="us-east-1", max_attempts=2)

async def use(thread="thread"):
    config = await saver.aput(at(thread), checkpoint(), metadata(), {})
    await saver.aput_writes(config, [("a", 1)], "task")
    found = await saver.aget_tuple(at(thread))
    assert found.pending_writes == [("task", "a", 1)], found
    assert [shown async for shown in saver.alist(at(thread))]
    # Without its cache, several at once:
    saver._store.shared.cache.clear()
    assert await saver.aget_tuple(at(thread))
"""


def script(place: Place, body: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, in development mode and with warnings as errors."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH") if name in os.environ}
    return subprocess.run(
        [
            sys.executable,
            "-X",
            "dev",
            "-W",
            "error",
            *options,
            "-c",
            PREAMBLE + textwrap.dedent(body),
            place.bucket,
            place.front.url,
        ],
        cwd=ROOT,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment(place.server), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_clean(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    assert not [word for word in LEFT_BEHIND if word in done.stderr], done.stderr


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

                async def several():
                    await asyncio.gather(*(use(f"thread-{number}") for number in range(3)))

                for _ in range(3):
                    with blockbuster_ctx():
                        asyncio.run(several())
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
            saver._store.shared.cache.clear()
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


class TestLoops:
    def test_thirty_runs_on_one_saver(self, make_saver: MakeSaver) -> None:
        saver = make_saver()
        build_thread(saver, checkpoints=1)
        loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

        async def use() -> None:
            loops.append(weakref.ref(asyncio.get_running_loop()))
            assert await saver.aget_tuple(at())

        with blockbuster_ctx():
            for _ in range(30):
                asyncio.run(use())
        gc.collect()
        assert len([loop for loop in loops if loop() is not None]) == 0, "each loop leaks its client"

    def test_several_loops_and_blocking_calls_at_once(self, make_saver: MakeSaver) -> None:
        saver = make_saver()
        rounds = 5

        async def use(name: str) -> int:
            for number in range(rounds):
                config = await saver.aput(at(name), checkpoint({"number": number}), metadata(number), {})
                await asyncio.gather(
                    *(saver.aput_writes(config, [("a", task)], f"{task}") for task in range(3))
                )
                found = await saver.aget_tuple(at(name))
                assert found is not None
                assert len(found.pending_writes or ()) == 3
            return len([shown async for shown in saver.alist(at(name))])

        def block(name: str) -> int:
            build_thread(saver, name, checkpoints=rounds)
            return len(list(saver.list(at(name))))

        with ThreadPoolExecutor(8) as pool:
            loops = [pool.submit(asyncio.run, use(f"loop-{number}")) for number in range(4)]
            blocking = [pool.submit(block, f"blocking-{number}") for number in range(4)]
            assert [future.result() for future in loops + blocking] == [rounds] * 8

    def test_calls_inside_an_iteration(self, make_saver: MakeSaver) -> None:
        saver = make_saver(cache_bytes=0)
        configs = build_thread(saver, checkpoints=12, tasks=1)

        async def use() -> list[int]:
            steps = []
            async for shown in saver.alist(at()):
                inner = await saver.aget_tuple(shown.config)
                assert inner is not None
                steps.append(inner.metadata["step"])
                await saver.aput_writes(shown.config, [("late", 1)], "late")
                if len(steps) == 6:
                    await saver.aput(configs[-1], checkpoint(), metadata(99), {})
            return steps

        assert guarded(use()) == list(range(11, -1, -1))

        def blocking() -> list[int]:
            return [
                found.metadata["step"]
                for shown in saver.list(at())
                if (found := saver.get_tuple(shown.config)) is not None
            ]

        assert blocking() == [99, *range(11, -1, -1)]

    def test_an_iteration_that_is_left(self, make_saver: MakeSaver) -> None:
        saver = make_saver()
        build_thread(saver, checkpoints=3)

        async def use() -> None:
            async for _ in saver.alist(at()):
                break
            assert await saver.aget_tuple(at())

        guarded(use())
        for _ in saver.list(at()):
            break
        assert saver.get_tuple(at())

    def test_closing_and_going_on(self, make_saver: MakeSaver) -> None:
        async def use() -> None:
            async with make_saver() as saver:
                await saver.aput(at(), checkpoint(), metadata(), {})
                await saver.aclose()
                assert await saver.aget_tuple(at())
                await saver.aclose()
                await saver.aclose()
            assert await saver.aget_tuple(at())
            await saver.aclose()

        guarded(use())

    # Python says so of any asynchronous generator there.
    @pytest.mark.filterwarnings("ignore:asynchronous generator .* was scheduled after:ResourceWarning")
    def test_a_loop_that_goes_on_after_its_generators_ended(self, make_saver: MakeSaver) -> None:
        saver = make_saver()
        loop = asyncio.new_event_loop()
        try:
            for _ in range(2):
                loop.run_until_complete(saver.aput(at(), checkpoint(), metadata(), {}))
                loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    def test_the_first_calls_at_once_make_one_client(self, make_saver: MakeSaver) -> None:
        saver = make_saver()

        async def use() -> int:
            await asyncio.gather(*(saver.aget_tuple(at(f"{number}")) for number in range(20)))
            clients = saver._store._aio
            assert clients is not None
            return len(clients._holders)

        assert guarded(use()) == 1


class TestCancellation:
    @pytest.mark.parametrize("call", ["get", "list", "put"])
    def test_a_cancelled_call_leaves_the_saver_usable(
        self, make_saver: MakeSaver, front: Front, call: str
    ) -> None:
        saver = make_saver()
        build_thread(make_saver(), checkpoints=3)

        async def one() -> None:
            if call == "get":
                await saver.aget_tuple(at())
            elif call == "list":
                assert [shown async for shown in saver.alist(at())]
            else:
                await saver.aput(at("other"), checkpoint(), metadata(), {})

        async def use() -> None:
            for delay in (0.0, 0.01, 0.05, 0.1):
                front.fail("*", Hold(0.2), times=2)
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(one(), delay)
            front.reset()
            await one()
            pending = asyncio.all_tasks() - {asyncio.current_task()}
            assert not [task for task in pending if "_asend" in repr(task)]

        guarded(use())

    def test_a_cancelled_upload_is_aborted(self, make_saver: MakeSaver, place: Place) -> None:
        saver = make_saver(multipart_part_size=5 * MIB)
        place.front.fail("UploadPart", Hold(5), times=2)

        async def use() -> None:
            big = checkpoint({"raw": noise(16 * MIB)})
            upload = asyncio.ensure_future(saver.aput(at(), big, metadata(), {}))
            while place.front.counts().get("UploadPart", 0) < 3:  # noqa: ASYNC110  # seen by another thread
                await asyncio.sleep(0.01)
            upload.cancel()
            with pytest.raises(asyncio.CancelledError):
                await upload
            assert upload.cancelled()

        asyncio.run(use())
        assert place.front.counts()["AbortMultipartUpload"] == 1
        assert place.uploads() == []
        assert place.listing() == []

    def test_ctrl_c_during_a_blocking_upload_aborts_it(self, place: Place) -> None:
        done = script(
            place,
            """
            import _thread, threading, time
            from tests.contract.support import noise
            saver = S3Saver(bucket, endpoint_url=url, region="us-east-1", multipart_part_size=5 * 1024**2)
            real = saver._store._send
            def send(request):
                if type(request).__name__ == "UploadPart" and request.number == 1:
                    _thread.interrupt_main()
                    time.sleep(0.2)
                return real(request)
            saver._store._send = send
            try:
                saver.put(at(), checkpoint({"raw": noise(11 * 1024**2)}), metadata(), {})
            except KeyboardInterrupt:
                print("interrupted")
            """,
        )
        assert_clean(done)
        assert done.stdout == "interrupted\n"
        assert place.front.counts()["AbortMultipartUpload"] == 1
        assert place.uploads() == []
        assert place.listing() == []

    def test_a_cancelled_first_use(self, make_saver: MakeSaver) -> None:
        """The client is being made in a thread when its caller goes away."""
        saver = make_saver()

        async def use() -> None:
            for _ in range(3):
                task = asyncio.ensure_future(saver.aget_tuple(at()))
                await asyncio.sleep(0.005)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            first, second = (asyncio.ensure_future(saver.aget_tuple(at())) for _ in range(2))
            await asyncio.sleep(0.005)
            first.cancel()
            assert await second is None

        guarded(use())


ENDINGS = {
    "asyncio.run": """
        asyncio.run(use())
        asyncio.run(use())
    """,
    "async with": """
        async def main():
            async with saver:
                await use()
        asyncio.run(main())
    """,
    "an aclose of one's own": """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(use())
        loop.run_until_complete(saver.aclose())
        loop.close()
    """,
    "shutdown_asyncgens": """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(use())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    """,
    "an error in the body": """
        async def main():
            await use()
            raise KeyError("mine")
        try:
            asyncio.run(main())
        except KeyError:
            pass
    """,
    "an error of the store's": """
        from langgraph_checkpoint_s3 import BucketNotFoundError, StorageUnavailableError
        async def main(**other):
            saver = S3Saver(**{"bucket": bucket, "endpoint_url": url, "max_attempts": 1, **other})
            try:
                await saver.aget_tuple(at())
            except (BucketNotFoundError, StorageUnavailableError):
                print("error")
        asyncio.run(main(bucket="there-is-none"))
        asyncio.run(main(endpoint_url="http://127.0.0.1:1"))
    """,
    "tasks that are still under way": """
        async def main():
            await use()
            tasks = [asyncio.ensure_future(use(f"{number}")) for number in range(5)]
            await asyncio.sleep(0.01)
        asyncio.run(main())
    """,
    "an iteration that is left": """
        async def main():
            await use()
            async for shown in saver.alist(at()):
                break
        asyncio.run(main())
    """,
    "a saver that is dropped": """
        async def main():
            global saver
            await use()
            del saver
            gc.collect()
            await asyncio.sleep(0.05)
        asyncio.run(main())
    """,
    "blocking calls": """
        saver.put(at(), checkpoint(), metadata(), {})
        assert saver.get_tuple(at())
        assert list(saver.list(at()))
    """,
    "blocking calls and a close": """
        with saver:
            saver.put(at(), checkpoint(), metadata(), {})
            assert saver.get_tuple(at())
    """,
    "both, in threads": """
        import threading
        def work(number):
            saver.put(at(f"{number}"), checkpoint(), metadata(), {})
            asyncio.run(use(f"{number}"))
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    """,
    "without aiobotocore": """
        sys.modules["aiobotocore"] = None
        saver = S3Saver(bucket, endpoint_url=url)
        asyncio.run(use())
        assert "aiohttp" not in sys.modules
    """,
}


class TestNothingIsLeftBehind:
    """At the process's end, with development mode's warnings."""

    @pytest.mark.parametrize("how", ENDINGS)
    def test_after(self, place: Place, how: str) -> None:
        assert_clean(script(place, ENDINGS[how]))

    def test_a_loop_that_is_closed_the_old_way_says_so(self, place: Place) -> None:
        """Neither `aclose` nor `shutdown_asyncgens`: what asyncio itself can't tidy, aiohttp complains of.

        The results are right, and the saver goes on to work on other loops.
        """
        done = script(
            place,
            """
            for _ in range(2):
                loop = asyncio.new_event_loop()
                loop.run_until_complete(use())
                loop.close()
                gc.collect()
            asyncio.run(use())
            print("done")
            """,
            "-W",
            "default",
        )
        assert done.stdout == "done\n"
        assert done.returncode == 0
        assert "never retrieved" not in done.stderr
        assert done.stderr.count("Unclosed client session") == 2, done.stderr

    def test_importing_imports_no_client(self, place: Place) -> None:
        done = script(
            place,
            """
            heavy = {"boto3", "botocore.session", "aiobotocore", "aiohttp"} & set(sys.modules)
            assert not heavy, heavy
            """,
        )
        assert_clean(done)


class TestManyThreads:
    def test_sixty_four(self, make_saver: MakeSaver, caplog: pytest.LogCaptureFixture) -> None:
        saver = make_saver()
        start = threading.Barrier(64)

        def work(number: int) -> None:
            start.wait(30)
            config = saver.put(at(f"{number}"), checkpoint({"number": number}), metadata(), {})
            saver.put_writes(config, [("a", number)], "task")
            found = saver.get_tuple(at(f"{number}"))
            assert found is not None
            assert found.checkpoint["channel_values"] == {"number": number}
            assert found.pending_writes == [("task", "a", number)]

        with ThreadPoolExecutor(64) as pool:
            for future in [pool.submit(work, number) for number in range(64)]:
                future.result()
        assert not [record for record in caplog.records if "Connection pool is full" in record.getMessage()]

    def test_sixty_four_tasks(self, make_saver: MakeSaver, caplog: pytest.LogCaptureFixture) -> None:
        saver = make_saver()

        async def work(number: int) -> None:
            config = await saver.aput(at(f"{number}"), checkpoint({"number": number}), metadata(), {})
            await saver.aput_writes(config, [("a", number)], "task")
            found = await saver.aget_tuple(at(f"{number}"))
            assert found is not None
            assert found.pending_writes == [("task", "a", number)]

        async def use() -> None:
            await asyncio.gather(*(work(number) for number in range(64)))

        guarded(use())
        assert not [record for record in caplog.records if record.levelno >= 30]

    def test_closing_while_others_work(self, make_saver: MakeSaver) -> None:
        """Whoever is at work goes on: a closed saver opens anew."""
        saver = make_saver(cache_bytes=0)
        build_thread(saver, checkpoints=1, tasks=3)
        stop = threading.Event()

        def work() -> int:
            done = 0
            while not stop.is_set():
                assert saver.get_tuple(at())
                done += 1
            return done

        with ThreadPoolExecutor(4) as pool:
            workers = [pool.submit(work) for _ in range(4)]
            try:
                for _ in range(20):
                    threading.Event().wait(0.02)
                    saver.close()
            finally:
                stop.set()
            assert all(worker.result() for worker in workers)
