"""S3's REST API for one bucket: requests are built and signed, responses read. No I/O.

Both HTTP clients share it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.s3.answer_checks import BEGINNING, InvalidResponse, Received
from langgraph_checkpoint_s3.s3.client import Fetched
from langgraph_checkpoint_s3.s3.deadline import Attempt
from langgraph_checkpoint_s3.s3.rest.endpoint import Endpoint, NeedsSdk, redirected, resolve
from langgraph_checkpoint_s3.s3.rest.http_parser import ResponseParser
from langgraph_checkpoint_s3.s3.rest.messages import (
    Checksums,
    HttpRequest,
    build,
    lacks_md5,
    parse,
    region_of_error,
)
from langgraph_checkpoint_s3.s3.rest.route import Route, route_to
from langgraph_checkpoint_s3.s3.rest.settings import AwsSettings
from langgraph_checkpoint_s3.s3.rest.sigv4 import (
    EMPTY_SHA256,
    UNSIGNED_PAYLOAD,
    Credentials,
    Signer,
    sha256,
)
from langgraph_checkpoint_s3.s3.store_clock import StoreClock
from langgraph_checkpoint_s3.validation import is_aws


class WrongRegion(Exception):  # noqa: N818  # the request is sent to the right one
    """The bucket is in another region.

    Attributes:
        region: That region.
        error: S3's error.
    """

    def __init__(self, region: str, error: Exception) -> None:
        super().__init__(region)
        self.region = region
        self.error = error


class NeedsMd5(Exception):  # noqa: N818  # the request is sent again with one
    """The store refuses a body that comes without an MD5. From now on, all bodies have one."""


class Target(NamedTuple):
    """The endpoint of a bucket, and what sending to it takes.

    Attributes:
        endpoint: The endpoint.
        route: The addresses and TLS settings to connect with.
        signer: The signer for its region.
    """

    endpoint: Endpoint
    route: Route
    signer: Signer


class RestApi:
    """S3's REST API for one bucket.

    Args:
        config: The saver's.
        settings: AWS's own settings.
        user_agent: The `User-Agent` header.
        clock: The store's clock.

    Attributes:
        target: The present target.
    """

    def __init__(self, config: S3Config, settings: AwsSettings, user_agent: str, clock: StoreClock) -> None:
        self._config = config
        self._settings = settings
        self._clock = clock
        self._agent = f"User-Agent: {user_agent}\r\nAccept-Encoding: identity\r\n"
        self.target = self._target(resolve(config, settings))
        on_aws = is_aws(self.target.endpoint.url)
        self.checksums = Checksums(
            send=settings.request_checksums == "when_supported",
            verify=settings.response_checksums == "when_supported",
            md5=not on_aws,
            signed=self.target.endpoint.scheme != "https" and not settings.unsigned,
        )

    def build(self, operation: str, arguments: Mapping[str, Any]) -> HttpRequest:
        """Return the request for an operation."""
        return build(operation, arguments, self.checksums)

    def head(
        self, request: HttpRequest, target: Target, credentials: Credentials | None, attempt: Attempt
    ) -> bytes:
        """Return a request's line and headers, signed now.

        Args:
            request: The request.
            target: Where it goes.
            credentials: The credentials; `None` leaves it unsigned.
            attempt: Notes the clock of the signature.
        """
        endpoint, route = target.endpoint, target.route
        headers = request.headers
        path = endpoint.base_path + request.path
        if credentials is not None:
            if not request.body:
                digest = EMPTY_SHA256
            elif endpoint.scheme == "https":
                digest = UNSIGNED_PAYLOAD
            else:
                digest = sha256(request.body)
            attempt.signed_ahead = self._clock.ahead
            to_sign = {"host": endpoint.authority, **headers}
            headers = headers | target.signer.sign(
                credentials, request.method, path, request.query, to_sign, digest, self._clock() / 1e9
            )
        query = f"?{request.target_query}" if request.target_query else ""
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        if lines.count("\n") != len(headers):  # an ETag from a document, say
            raise InvalidResponse("a header to send back has a line break")
        length = (
            f"Content-Length: {len(request.body)}\r\n"
            if request.body or request.method in ("PUT", "POST")
            else ""
        )
        text = (
            f"{request.method} {route.target_prefix}{path}{query} HTTP/1.1\r\nHost: {endpoint.authority}\r\n"
            f"{self._agent}{route.proxy_headers}{lines}{length}\r\n"
        )
        return text.encode("latin-1")

    def read(self, request: HttpRequest, target: Target, parser: ResponseParser, attempt: Attempt) -> Fetched:
        """Return what a complete response says.

        Raises:
            ClientError: It is an error of S3's.
            WrongRegion: The bucket is in another region.
            NeedsMd5: The request is to be built again.
            InvalidResponse: It can't be parsed.
        """
        body, headers = parser.body, parser.headers
        attempt.received = Received(
            parser.status, headers.get("content-type", ""), len(body), bytes(body[:BEGINNING])
        )
        try:
            fields = parse(request, parser.status, headers, body)
        except Exception as error:
            region = region_of_error(error)
            if region and region != target.endpoint.region:
                raise WrongRegion(region, error) from error
            if self.checksums.signed and lacks_md5(error):
                self.checksums = self.checksums._replace(signed=False)
                raise NeedsMd5 from error
            raise
        return fields, body if request.operation == "GetObject" else b""

    def follow(self, wrong: WrongRegion) -> Target:
        """Return the target in the bucket's region, and keep it for requests to come.

        Its address comes from AWS's rules and the region's name, never from the response. May read files.

        Raises:
            ClientError: The region is none, or no other than before.
        """
        try:
            endpoint = redirected(self._config, self._settings, wrong.region)
        except (InvalidConfigError, NeedsSdk):
            raise wrong.error from None
        self.target = self._target(endpoint)
        return self.target

    def _target(self, endpoint: Endpoint) -> Target:
        route = route_to(endpoint, self._settings)
        return Target(endpoint, route, Signer(endpoint.region, endpoint.service))
