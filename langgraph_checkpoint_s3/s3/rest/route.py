"""Routes to endpoints: TLS settings, and the proxy in between. No I/O but reading certificates."""

from __future__ import annotations

import base64
import os
import ssl
import sys
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.s3.rest.endpoint import Endpoint
from langgraph_checkpoint_s3.s3.rest.http_parser import MalformedResponse, ResponseParser
from langgraph_checkpoint_s3.s3.rest.settings import AwsSettings

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class ProxyRefusedError(ConnectionError):
    """The proxy doesn't connect to the store."""


class Proxy(NamedTuple):
    """An HTTP proxy.

    Attributes:
        host: Its host.
        port: Its port.
        tls: Whether the connection to it is encrypted.
        authorization: The value of `Proxy-Authorization`; `None` without credentials.
    """

    host: str
    port: int
    tls: bool
    authorization: str | None


class Route(NamedTuple):
    """Addresses and TLS settings of the connections to an endpoint.

    Attributes:
        host: The host to connect to: the proxy's, if there is one.
        port: Its port.
        tls: The TLS settings for the endpoint; `None` for plain HTTP.
        server_name: The endpoint's host, which its certificate must have.
        proxy: The proxy.
        proxy_tls: The TLS settings for the proxy; `None` if the connection to it isn't encrypted.
        tunnel: The request that makes the proxy connect to the endpoint; empty if there is none.
        target_prefix: The beginning of each request's target: of one to a proxy, the endpoint's URL.
        proxy_headers: Headers for the proxy in each request, as sent.
        keepalive: Whether connections send TCP keep-alive probes.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None
    server_name: str
    proxy: Proxy | None = None
    proxy_tls: ssl.SSLContext | None = None
    tunnel: bytes = b""
    target_prefix: str = ""
    proxy_headers: str = ""
    keepalive: bool = False


def route_to(endpoint: Endpoint, settings: AwsSettings) -> Route:
    """Return the route to an endpoint. Reads the certificates.

    Args:
        endpoint: The endpoint.
        settings: AWS's settings: the trusted authorities, the client's certificate, keep-alive probes.

    Raises:
        InvalidConfigError: The certificates can't be read, or the proxy's URL is malformed.
    """
    return _route_to(endpoint, settings)._replace(keepalive=settings.tcp_keepalive)


def _route_to(endpoint: Endpoint, settings: AwsSettings) -> Route:
    encrypted = endpoint.scheme == "https"
    proxy = proxy_for(endpoint.scheme, endpoint.host)
    context = _tls_context(settings) if encrypted or (proxy is not None and proxy.tls) else None
    tls = context if encrypted else None
    if proxy is None:
        return Route(endpoint.host, endpoint.port, tls, endpoint.host)
    extra = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
    proxy_tls = context if proxy.tls else None
    if not encrypted:
        return Route(
            proxy.host,
            proxy.port,
            None,
            endpoint.host,
            proxy,
            proxy_tls,
            target_prefix=endpoint.url,
            proxy_headers=extra,
        )
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    where = f"{host}:{endpoint.port}"
    tunnel = f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n{extra}\r\n".encode("latin-1")
    return Route(proxy.host, proxy.port, tls, endpoint.host, proxy, proxy_tls, tunnel)


def proxy_for(scheme: str, host: str) -> Proxy | None:
    """Return the proxy that the environment names for a host: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.

    On macOS and Windows, the system's settings count as well.

    Raises:
        InvalidConfigError: The proxy's URL is malformed.
    """
    if sys.platform.startswith("linux") and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass  # slow to import, and seldom needed

    found = getproxies().get(scheme)
    if not found or proxy_bypass(host):
        return None
    try:
        parts = urlsplit(found if "://" in found else f"http://{found}")
        default = _DEFAULT_PORTS[parts.scheme]  # of the schemes that are supported, whatever the port
        port = parts.port or default
    except (ValueError, KeyError):
        raise InvalidConfigError(f"{scheme.upper()}_PROXY isn't the URL of an HTTP proxy.") from None
    if not parts.hostname:
        raise InvalidConfigError(f"{scheme.upper()}_PROXY names no host.")
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return Proxy(parts.hostname, port, parts.scheme == "https", authorization)


class TunnelParser:
    """Parser of a proxy's response to `CONNECT`.

    Attributes:
        open: Whether the tunnel is open.
    """

    def __init__(self) -> None:
        self.open = False
        self._parser = ResponseParser("HEAD", 0)  # like one to HEAD, it has no body

    def feed(self, data: bytes) -> None:
        """Parse the next bytes.

        Raises:
            ProxyRefusedError: The proxy refuses.
        """
        try:
            if data:
                self._parser.feed(data)
            else:
                self._parser.end()
        except (MalformedResponse, ConnectionError) as error:
            raise ProxyRefusedError(f"the proxy doesn't answer as one ({error})") from error
        if self._parser.complete:
            if self._parser.status != 200:
                raise ProxyRefusedError(f"the proxy refuses to connect to the store ({self._parser.status})")
            self.open = True


def _tls_context(settings: AwsSettings) -> ssl.SSLContext:
    bundle = settings.ca_bundle or _default_bundle()
    is_folder = Path(bundle).is_dir()
    try:
        context = ssl.create_default_context(
            cafile=None if is_folder else bundle, capath=bundle if is_folder else None
        )
    except OSError as error:  # ssl.SSLError is one
        raise InvalidConfigError(f"The certificates in {bundle} can't be read: {error}") from error
    # As with boto3. From Python 3.13 on, the default refuses certificates of private authorities that have no
    # Authority Key Identifier.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if settings.client_cert is not None:
        files = (settings.client_cert,) if isinstance(settings.client_cert, str) else settings.client_cert
        try:
            context.load_cert_chain(*files)
        except OSError as error:
            raise InvalidConfigError(f"The client's certificate can't be read: {error}") from error
    context.set_alpn_protocols(["http/1.1"])
    return context


def _default_bundle() -> str:
    """Return the file of the authorities that botocore trusts: certifi's, where that is installed."""
    try:
        from certifi import where
    except ImportError:
        import botocore

        return str(Path(botocore.__file__).parent / "cacert.pem")
    return where()
