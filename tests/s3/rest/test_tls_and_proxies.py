"""TLS, proxies and IPv6, by both transports and both drivers."""

from __future__ import annotations

import base64
import contextlib
import select
import shutil
import socket
import ssl
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

import pytest

from langgraph_checkpoint_s3 import InvalidConfigError, StorageUnavailableError
from langgraph_checkpoint_s3.s3.requests import GetObject, PutObject
from tests.s3.rest.scripted import Driver, Peer, Scripted, Seen, answering, ok
from tests.support.hanging import HANG
from tests.support.surroundings import surroundings

__all__ = ["surroundings"]

Transport = Literal["http", "sdk"]
GET = GetObject("k", keep=False)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")
TRANSPORTS = pytest.mark.parametrize("transport", ["http", "sdk"])


@pytest.fixture(autouse=True)
def variables(surroundings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, and no authority but the default ones."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


def always(_: Seen) -> bytes:
    return ok()


class Authority:
    """A certificate authority, and certificates that it issued."""

    def __init__(self, folder: Path) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec

        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Authority")])
        self.path = folder / "authority.pem"
        self._write(self.path, self._make(self._name, self._key.public_key(), None))

    def server(self, *names: str) -> ssl.SSLContext:
        """A server's settings, with a certificate for these addresses or names."""
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
        path = self._folder / "server.pem"
        self._write(path, self._make(subject, key.public_key(), names), key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _make(self, subject: Any, key: Any, names: tuple[str, ...] | None) -> Any:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        now = datetime.now(timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=True)
        )
        if names is not None:
            shown = [_general_name(name) for name in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(shown), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    @staticmethod
    def _write(path: Path, certificate: Any, key: Any = None) -> None:
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        data = certificate.public_bytes(Encoding.PEM)
        if key is not None:
            data += key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(data)


def _general_name(name: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


# TLS


@TRANSPORTS
def test_a_trusted_authority(
    driver: Driver, transport: Transport, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.path))
    with Scripted(answering(always), authority.server("127.0.0.1")) as server:
        saver = driver.saver(server.url, transport=transport)
        assert driver.send(saver, GET).data == b"x"


def test_over_tls_the_body_is_not_hashed(
    driver: Driver, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.path))
    with Scripted(answering(always), authority.server("127.0.0.1")) as server:
        driver.send(driver.saver(server.url), PutObject("k", b"x"))
        assert server.seen[0].headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl names the files")
def test_a_folder_of_authorities(
    driver: Driver, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", str(authority.path)],
        capture_output=True,
        check=True,
        text=True,
    )
    folder = tmp_path / "trusted"
    folder.mkdir()
    shutil.copy(authority.path, folder / f"{found.stdout.strip()}.0")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(folder))
    with Scripted(answering(always), authority.server("127.0.0.1")) as server:
        assert driver.send(driver.saver(server.url), GET).data == b"x"


@pytest.mark.parametrize("names", [("127.0.0.1",), ("10.0.0.1", "store.example")], ids=["issuer", "host"])
def test_an_untrusted_certificate(
    driver: Driver, names: tuple[str, ...], authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is trusted no more the second time, so the request isn't sent again."""
    if names[0] != "127.0.0.1":
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.path))
    with Scripted(answering(always), authority.server(*names)) as server:
        saver = driver.saver(server.url, max_attempts=3)
        with pytest.raises(StorageUnavailableError, match="AWS_CA_BUNDLE"):
            driver.send(saver, GET)
        assert server.accepted == 1
        assert server.seen == []
        assert saver.stats().retries == 0


def test_a_bundle_that_cannot_be_read(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content in (None, "nothing"):
        path = tmp_path / f"{content}.pem"
        if content is not None:
            path.write_text(content)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(path))
        with pytest.raises(InvalidConfigError, match=f"{content}.pem can't be read"):
            driver.send(driver.saver("https://127.0.0.1:1"), GET)


def test_a_server_without_tls(driver: Driver) -> None:
    def script(peer: Peer) -> None:
        peer.sock.recv(65536)
        peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with Scripted(script) as server:
        saver = driver.saver(f"https://127.0.0.1:{server.port}")
        with pytest.raises(StorageUnavailableError, match="can't be reached"):
            driver.send(saver, GET)


# Proxies


def proxy(peer: Peer) -> None:
    """Answer as the store what has a whole URL; connect to whatever `CONNECT` names."""
    while (seen := peer.request()) is not None:
        if seen.method != "CONNECT":
            peer.send(ok(b"by the proxy"))
            continue
        host, _, port = seen.target.rpartition(":")
        with socket.create_connection((host.strip("[]"), int(port))) as other:
            peer.send(b"HTTP/1.1 200 Connection established\r\nVia: proxy\r\n\r\n")
            _pipe(peer.sock, other)
        return


def _pipe(one: socket.socket, other: socket.socket) -> None:
    ends = {one: other, other: one}
    while True:
        ready, _, _ = select.select(list(ends), [], [], HANG)
        for sock in ready:
            data = sock.recv(65536)
            if not data:
                return
            ends[sock].sendall(data)


@TRANSPORTS
def test_an_http_endpoint_behind_a_proxy(
    driver: Driver, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Scripted(proxy) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url.replace("//", "//us%20er:p%40ss@"))
        saver = driver.saver("http://store.invalid:9000", transport=transport)
        for _ in range(2):
            assert driver.send(saver, GET).data == b"by the proxy"
        for seen in server.seen:
            assert seen.target == "http://store.invalid:9000/bucket/k"
            assert seen.headers["host"] == "store.invalid:9000"
            credentials = base64.b64encode(b"us er:p@ss").decode()
            assert seen.headers["proxy-authorization"] == f"Basic {credentials}"
            assert "proxy" not in seen.headers["authorization"]
        if transport == "http":
            assert server.accepted == 1


@TRANSPORTS
def test_an_https_endpoint_behind_a_proxy(
    driver: Driver, transport: Transport, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.path))
    with Scripted(proxy) as tunnel, Scripted(answering(always), authority.server("127.0.0.1")) as server:
        monkeypatch.setenv("HTTPS_PROXY", tunnel.url.replace("//", "//user:pass@"))
        saver = driver.saver(server.url, transport=transport)
        for _ in range(3):
            assert driver.send(saver, GET).data == b"x"
        connect = tunnel.seen[0]
        assert (connect.method, connect.target) == ("CONNECT", f"127.0.0.1:{server.port}")
        assert connect.headers["proxy-authorization"] == f"Basic {base64.b64encode(b'user:pass').decode()}"
        assert [seen.target for seen in server.seen] == ["/bucket/k"] * 3
        assert all("proxy-authorization" not in seen.headers for seen in server.seen)
        if transport == "http":
            assert tunnel.accepted == server.accepted == 1


def test_an_https_endpoint_behind_an_encrypted_proxy(
    driver: Driver, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.path))
    context = authority.server("127.0.0.1")
    with Scripted(proxy, context) as tunnel, Scripted(answering(always), context) as server:
        monkeypatch.setenv("HTTPS_PROXY", tunnel.url)
        saver = driver.saver(server.url)
        if driver.asynchronous and sys.version_info < (3, 11):
            with pytest.raises(InvalidConfigError, match=r"before Python 3\.11 asyncio can't"):
                driver.send(saver, GET)
            assert tunnel.accepted == 0
            return
        for _ in range(2):
            assert driver.send(saver, GET).data == b"x"
        assert [seen.target for seen in server.seen] == ["/bucket/k"] * 2


def test_a_large_body_through_a_tunnel(
    driver: Driver, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = bytes(range(256)) * 4000
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.path))
    with (
        Scripted(proxy) as tunnel,
        Scripted(answering(lambda seen: ok(seen.body or body)), authority.server("127.0.0.1")) as server,
    ):
        monkeypatch.setenv("HTTPS_PROXY", tunnel.url)
        saver = driver.saver(server.url)
        for _ in range(2):
            assert driver.send(saver, GET).data == body
            driver.send(saver, PutObject("k", body))
        assert server.seen[-1].body == body
        assert server.accepted == 1


@TRANSPORTS
def test_a_host_without_proxy(driver: Driver, transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "other.example,127.0.0.1")
    with Scripted(answering(always)) as server:
        assert driver.send(driver.saver(server.url, transport=transport), GET).data == b"x"
        assert server.seen[0].target == "/bucket/k"


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "502 Bad Gateway", "403 Forbidden"])
def test_a_proxy_that_refuses(driver: Driver, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(peer: Peer) -> None:
        peer.head()
        peer.send(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno".encode())

    with Scripted(refuse) as server:
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        saver = driver.saver("https://store.invalid")
        with pytest.raises(StorageUnavailableError, match=rf"refuses to connect .*{status[:3]}"):
            driver.send(saver, GET)


@pytest.mark.parametrize("data", [b"", b"<html>", b"HTTP/1.1 200", b"SSH-2.0-x\r\n"])
def test_a_proxy_that_is_none(driver: Driver, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def script(peer: Peer) -> None:
        peer.head()
        peer.send(data)

    with Scripted(script) as server:
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        with pytest.raises(StorageUnavailableError, match="can't be reached"):
            driver.send(driver.saver("https://store.invalid"), GET)


@pytest.mark.parametrize(
    "url", ["ftp://proxy:1", "http://proxy:many", "http://:80", "http://[::1", "socks5://p:1080"]
)
def test_a_malformed_proxy(driver: Driver, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)
    with pytest.raises(InvalidConfigError, match="HTTPS_PROXY"):
        driver.send(driver.saver("https://store.invalid"), GET)


# IPv6


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


@pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 here")
@pytest.mark.parametrize("encrypted", [False, True])
def test_an_address_of_version_6(
    driver: Driver, encrypted: bool, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.path))
    context = authority.server("::1") if encrypted else None
    with Scripted(answering(always), context, host="::1") as server:
        saver = driver.saver(server.url)
        assert driver.send(saver, GET).data == b"x"
        assert server.seen[0].headers["host"] == f"[::1]:{server.port}"
