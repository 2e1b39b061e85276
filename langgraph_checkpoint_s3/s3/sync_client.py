"""The blocking client: botocore, made once and on first use."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from langgraph_checkpoint_s3.aws import (
    Throttle,
    botocore_session,
    credentials_of,
    lacks_credentials,
    refresh_credentials,
    region_of,
)
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.fork_safety import delay_forks, keep_for_parent, renew_after_fork
from langgraph_checkpoint_s3.request_timeout import limit_connections
from langgraph_checkpoint_s3.s3.deadline import after_attempt, note_response, stop_redirect_loop
from langgraph_checkpoint_s3.s3.translate import Translator, md5_of
from langgraph_checkpoint_s3.validation import is_aws

DEFAULT_REGION: Final = "us-east-1"
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
        # The default mode, legacy, gives up on a persistent SlowDown after 10 s; standard after 1.4 s.
        "retries": {"mode": "standard", "total_max_attempts": config.max_attempts},
        "connect_timeout": config.connect_timeout,
        "read_timeout": config.read_timeout,
        "max_pool_connections": config.max_concurrency + _SPARE_CONNECTIONS,
        "user_agent_extra": user_agent,
    }
    return {"region_name": config.region, "endpoint_url": config.endpoint_url, "config": settings}


def parse_timestamp(text: Any) -> datetime:
    """Parse a timestamp of S3's. A LIST page has a thousand.

    With this instead of dateutil a page takes a third to a half of the CPU time.
    """
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except (ValueError, AttributeError):
        from botocore.utils import parse_timestamp as general

        parsed: datetime = general(text)
        return parsed


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


def ease_checksums(client: Any, session: Any) -> None:
    """Use checksums with other stores than AWS only where they're required, unless the user set otherwise.

    Some stores reject the trailing checksum, or answer a range with the whole object's.

    Args:
        client: A client made here. It knows the address that all of AWS's settings led to.
        session: The session that made it.
    """
    if is_aws(client.meta.endpoint_url):
        return
    core = botocore_session(session)
    profile = core.get_scoped_config() if core else {}
    default = core.get_default_client_config() if core else None
    for name in ("request_checksum_calculation", "response_checksum_validation"):
        said = os.environ.get(f"AWS_{name.upper()}") or profile.get(name) or getattr(default, name, None)
        if not said:
            setattr(client.meta.config, name, "when_required")  # read with each request


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


def tune(client: Any, session: Any) -> None:
    """Adapt a client made here. One that a user passed in stays as it is, except for `listen`."""
    ease_checksums(client, session)
    events = client.meta.events
    listen(client)
    events.register_last("before-call.s3", drop_expect, unique_id="langgraph-checkpoint-s3")
    if not is_aws(client.meta.endpoint_url):
        events.register_last("before-call.s3", add_md5, unique_id="langgraph-checkpoint-s3-md5")
    events.register_first("choose-signer.s3", sign_with_version_4, unique_id="langgraph-checkpoint-s3-v4")
    events.register_last(
        "before-parameter-build.s3", sign_for_the_region, unique_id="langgraph-checkpoint-s3-r"
    )
    events.register_first("needs-retry.s3", after_attempt, unique_id="langgraph-checkpoint-s3-watch")
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


class BotoClient:
    """The client and its translator, made on first use, and again in a forked process.

    Args:
        config: The saver's.
        user_agent: The text that is added to the `User-Agent` header.
        client: A client passed in by the user, which is used as it is.
        session: A `boto3.Session` passed in by the user, to make the client with.
    """

    def __init__(self, config: S3Config, user_agent: str, client: Any = None, session: Any = None) -> None:
        self._config = config
        self._user_agent = user_agent
        self._given = client
        self._session = session
        self._made: tuple[Any, Translator] | None = None
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Leave the client to the parent, whose connections it has. A user's client stays."""
        self._lock = threading.Lock()
        self._throttle = Throttle()
        if self._made is not None and self._given is None:
            keep_for_parent(self._made)
            self._made = None

    def get(self) -> tuple[Any, Translator]:
        """Return the client and its translator."""
        made = self._made
        if made is None:
            with self._lock:
                made = self._made
                if made is None:
                    with delay_forks():
                        client = self._given or self._make()
                    if client is self._given:
                        listen(client)
                    made = self._made = (client, translator_for(self._config, client))
        return made

    def refused(self, client: Any) -> None:
        """Look for other credentials before the next request: this client's were refused, or it has none."""
        refresh_credentials(client)
        if self._session is not None and lacks_credentials(client):  # the session had none
            with self._lock:
                if self._made is not None and self._made[0] is client and self._throttle.allow():
                    self._made = None

    def close(self) -> None:
        """Close the client's connections, unless it is a user's. The next use makes a new client."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None and self._given is None:
            made[0].close()

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
        tune(client, session)
        limit_connections(client)
        return client
