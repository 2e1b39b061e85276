"""The blocking client of the SDK: boto3's or botocore's, made once and on first use."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from langgraph_checkpoint_s3.aws import (
    DEFAULT_REGION,
    Throttle,
    credentials_of,
    lacks_credentials,
    refresh_credentials,
    region_of,
)
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.fork_safety import delay_forks, keep_for_parent, renew_after_fork
from langgraph_checkpoint_s3.request_timeout import limit_connections
from langgraph_checkpoint_s3.s3.client import Fetched
from langgraph_checkpoint_s3.s3.deadline import Attempt
from langgraph_checkpoint_s3.s3.rest.settings import AwsSettings, read_settings
from langgraph_checkpoint_s3.s3.sdk_calls import (
    calling,
    has_body,
    note_response,
    stop_redirect_loop,
    with_file,
)
from langgraph_checkpoint_s3.s3.timestamps import parse_timestamp
from langgraph_checkpoint_s3.s3.translate import Translator, md5_of, method_of
from langgraph_checkpoint_s3.validation import is_aws

_PAYER: Final = "x-amz-request-payer"
_SPARE_CONNECTIONS: Final = 256
"""Connections beyond one operation's: LangGraph calls a saver from many threads and tasks at once."""


def client_arguments(config: S3Config, user_agent: str) -> dict[str, Any]:
    """Return the arguments of `create_client`, with `config` as a dictionary for the library's `Config`."""
    config = config.with_store_variables()
    by_path = bool(config.endpoint_url) if config.force_path_style is None else config.force_path_style
    s3: dict[str, Any] = {"addressing_style": "path"} if by_path else {}
    if config.force_path_style is False:  # botocore's default for a custom endpoint is the path style
        s3["addressing_style"] = "virtual"
    if config.use_accelerate:
        s3["use_accelerate_endpoint"] = True
    settings: dict[str, Any] = {
        "s3": s3,
        "retries": {"mode": "standard", "total_max_attempts": 1},  # `RequestState` sends again
        "connect_timeout": config.connect_timeout,
        "read_timeout": config.read_timeout,
        "max_pool_connections": config.max_concurrency + _SPARE_CONNECTIONS,
        "user_agent_extra": user_agent,
    }
    return {"region_name": config.region, "endpoint_url": config.endpoint_url, "config": settings}


def drop_expect(model: Any, params: Mapping[str, Any], **_: Any) -> None:
    """Remove a PUT's `Expect: 100-continue`, which costs a round trip before the body is sent.

    Parts of an upload keep it: they are large enough to profit from an early refusal.
    """
    if model.name == "PutObject":
        params["headers"].pop("Expect", None)


def add_md5(model: Any, params: Mapping[str, Any], **_: Any) -> None:
    """Send `Content-MD5` where a checksum is required, to other stores than AWS.

    Since 1.36 botocore sends a CRC instead, which older stores refuse (`MissingContentMD5`). MinIO, for
    example, refused every DeleteObjects until January 2025.
    """
    body = params["body"]
    if model.http_checksum.get("requestChecksumRequired") and isinstance(body, bytes):
        digest = md5_of(body)
        if digest is not None:
            params["headers"]["Content-MD5"] = digest


def use_checksums(client: Any, settings: AwsSettings) -> None:
    """Have a client made here send and check the checksums that both transports use."""
    config = client.meta.config  # read with each request
    config.request_checksum_calculation = settings.request_checksums
    config.response_checksum_validation = settings.response_checksums


@functools.cache
def model_loader() -> Any:
    """Return the loader of botocore's service models, whose parsing is most of a client's cost."""
    from botocore.session import Session

    return Session().get_component("data_loader")


def prepare(session: Any) -> None:
    """Adapt a session made here, before it makes a client."""
    session.register_component("data_loader", model_loader())
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_timestamp)


def name_client(session: Any, settings: dict[str, Any]) -> None:
    """Set the `User-Agent` once a client: botocore otherwise composes it twice for each request.

    That is a tenth of a request's CPU time. The text is the session's own, without the list of features that
    a request uses. Where the user has set an application's name, botocore's composition stays, for the name.
    """
    if not session.get_config_variable("user_agent_appid"):
        settings["user_agent"] = session.user_agent()


def sign_with_version_4(signature_version: Any, **_: Any) -> str | None:
    """Sign URLs with version 4, as requests are: in old regions botocore's default for URLs is version 2."""
    return "s3v4-query" if signature_version in ("v4-query", "s3v4-query") else None


def sign_for_the_region(context: Any, **_: Any) -> None:
    """Sign URLs for the region's address: AWS redirects the global one during a new bucket's first day."""
    if isinstance(context, dict) and context.get("is_presign_request"):
        context["use_global_endpoint"] = False


def sign_payer(request: Any, **_: Any) -> None:
    """Put `x-amz-request-payer` into a signed URL's query: its clients send no headers of ours."""
    payer = request.headers.get(_PAYER) if request.context.get("is_presign_request") else None
    if payer:
        del request.headers[_PAYER]
        request.params[_PAYER] = payer


def tune(client: Any, settings: AwsSettings) -> None:
    """Adapt a client made here. One that a user passed in stays as it is, except for `listen`."""
    use_checksums(client, settings)
    events = client.meta.events
    listen(client)
    events.register_last("before-call.s3", drop_expect, unique_id="langgraph-checkpoint-s3")
    if not is_aws(client.meta.endpoint_url):
        events.register_last("before-call.s3", add_md5, unique_id="langgraph-checkpoint-s3-md5")
    events.register_first("choose-signer.s3", sign_with_version_4, unique_id="langgraph-checkpoint-s3-v4")
    events.register_last(
        "before-parameter-build.s3", sign_for_the_region, unique_id="langgraph-checkpoint-s3-r"
    )
    events.register_last("before-sign.s3", sign_payer, unique_id="langgraph-checkpoint-s3-payer")


def listen(client: Any) -> None:
    """Register the handlers that note a client's responses. They do nothing unless a saver calls it."""
    events = client.meta.events
    events.register_last("before-parse.s3", note_response, unique_id="langgraph-checkpoint-s3-see")
    events.register_first("needs-retry.s3", stop_redirect_loop, unique_id="langgraph-checkpoint-s3-circle")


def translator_for(config: S3Config, client: Any) -> Translator:
    """Return the translator for a client."""
    # Buckets with Object Lock require a checksum or an MD5 with each object.
    md5 = client.meta.config.request_checksum_calculation == "when_required"
    return Translator(
        config, client.meta.endpoint_url, client.meta.region_name, credentials_of(client), md5=md5
    )


class SdkClient:
    """A client of boto3's or botocore's, and its translator.

    Args:
        client: The client.
        translator: Translates requests for it.
        refused: Looks for other credentials.
        retries: Whether it sends a request again by itself.
    """

    def __init__(
        self,
        client: Any,
        translator: Translator,
        refused: Callable[[SdkClient], None],
        *,
        retries: bool = False,
    ) -> None:
        self.client = client
        self.translator = translator
        self.retries = retries
        self._refused = refused

    def refused(self) -> None:
        """Look for other credentials before the next request: these were refused, or there are none."""
        self._refused(self)

    def fetch(self, operation: str, arguments: Mapping[str, Any], attempt: Attempt) -> Fetched:
        """Call the client's method for an operation, and read the body of its response."""
        with calling(attempt):
            response = getattr(self.client, method_of(operation))(**with_file(arguments))
            if not has_body(response):
                return response, b""
            attempt.reading = True
            with response["Body"]:
                data = response["Body"].read()
        attempt.read(data)
        return response, data


class BotoClient:
    """The client, made on first use, and again in a forked process.

    Args:
        config: The saver's.
        user_agent: The text that is added to the `User-Agent` header.
        use_attempts: Takes AWS's own setting for the number of attempts.
        client: A client passed in by the user, which is used as it is.
        session: A `boto3.Session` passed in by the user, to make the client with.
    """

    def __init__(
        self,
        config: S3Config,
        user_agent: str,
        use_attempts: Callable[[int | None], None],
        client: Any = None,
        session: Any = None,
    ) -> None:
        self._config = config
        self._user_agent = user_agent
        self._use_attempts = use_attempts
        self._given = client
        self._session = session
        self._made: SdkClient | None = None
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Leave the client to the parent, whose connections it has. A user's client stays."""
        self._lock = threading.Lock()
        self._throttle = Throttle()
        if self._made is not None and self._given is None:
            keep_for_parent(self._made)
            self._made = None

    def get(self) -> SdkClient:
        """Return the client."""
        made = self._made
        if made is None:
            with self._lock:
                made = self._made
                if made is None:
                    with delay_forks():
                        client = self._given or self._make()
                    if client is self._given:
                        listen(client)
                    translator = translator_for(self._config, client)
                    made = self._made = SdkClient(
                        client, translator, self._refused, retries=client is self._given
                    )
        return made

    def _refused(self, made: SdkClient) -> None:
        refresh_credentials(made.client)
        if self._session is not None and lacks_credentials(made.client):  # the session had none
            with self._lock:
                if self._made is made and self._throttle.allow():
                    self._made = None

    def close(self) -> None:
        """Close the client's connections, unless it is a user's. The next use makes a new client."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None and self._given is None:
            made.client.close()

    def _make(self) -> Any:
        from botocore.config import Config

        arguments = client_arguments(self._config, self._user_agent)
        if self._session is not None:
            session = self._session
            create = session.client
        else:
            from langgraph_checkpoint_s3.credentials import new_session

            session = new_session(self._config.region)
            create = session.create_client
            prepare(session)
            name_client(session, arguments["config"])
        arguments["config"] = Config(**arguments["config"])
        arguments["region_name"] = region_of(arguments["region_name"], session, DEFAULT_REGION)
        client = create("s3", **arguments)
        settings = read_settings(self._config, session)
        tune(client, settings)
        limit_connections(client)
        self._use_attempts(settings.max_attempts)
        return client
