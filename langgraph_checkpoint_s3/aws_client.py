"""Clients of AWS services beside S3, with their errors mapped to this package's. Requests are blocking."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import Future
from types import MappingProxyType
from typing import Any, ClassVar, Final

from langgraph_checkpoint_s3.aws import (
    Throttle,
    credentials_error,
    lacks_credentials,
    refresh_credentials,
    region_of,
)
from langgraph_checkpoint_s3.errors import (
    AccessDeniedError,
    InvalidConfigError,
    S3CheckpointError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.fork_safety import delay_forks
from langgraph_checkpoint_s3.request_timeout import TimeLimit, limit_connections, limit_requests

_CONNECT_TIMEOUT: Final = 5.0
_CONNECTIONS: Final = 64
"""Connections that are kept open. Requests come from many threads at once."""


class AwsClient(ABC):
    """A service's client, made on first use, and again in a forked process.

    Attributes:
        service: Boto3's name of the service.
        title: Its name in messages.
        settings: What to check if a request can't be made or sent.
        actions: The IAM action that each operation needs.
        read_timeout: Seconds to wait for an answer. A request fails after 5 attempts.

    Args:
        region: The region; `None` leaves it to AWS's own chain.
        endpoint_url: Another address.
        client: The user's own client, used as it is.
        session: The user's own `boto3.Session`, to make the client from.
    """

    service: ClassVar[str]
    title: ClassVar[str]
    settings: ClassVar[str]
    actions: ClassVar[Mapping[str, str]]
    read_timeout: ClassVar[float] = 10.0

    def __init__(self, region: str | None, endpoint_url: str | None, client: Any, session: Any) -> None:
        self._region = region
        self._endpoint_url = endpoint_url
        self._given = client
        self._session = session
        self._processes: dict[int, ProcessState] = {}

    @abstractmethod
    def refusal(self, operation: str, target: str, code: str, status: int) -> S3CheckpointError | None:
        """Return the error for a response that another try wouldn't change; `None` for any other.

        Args:
            operation: The client's method.
            target: What the request was about.
            code: The service's error code.
            status: The HTTP status.
        """

    def call(
        self,
        operation: str,
        target: str,
        *,
        if_known: Mapping[str, Any] = MappingProxyType({}),
        **arguments: Any,
    ) -> Mapping[str, Any]:
        """Send one request.

        Args:
            operation: The client's method.
            target: What it is about, in error messages.
            if_known: Arguments that older releases of boto3 don't know. These leave them out.
            **arguments: The method's other arguments.
        """
        client: Any = None
        try:
            client = self._client()
            if if_known:
                model = client.meta.service_model.operation_model(
                    client.meta.method_to_api_mapping[operation]
                )
                known = model.input_shape.members
                arguments |= {name: value for name, value in if_known.items() if name in known}
            with limit_requests(TimeLimit(_CONNECT_TIMEOUT + self.read_timeout)):
                answer: Mapping[str, Any] = getattr(client, operation)(**arguments)
        except Exception as error:
            mapped = self._map_error(error, operation, target)
            if mapped is None:
                raise
            if client is not None and isinstance(mapped, AccessDeniedError) and mapped.unauthenticated:
                self._renew_credentials(client)
            raise mapped from error
        return answer

    def close(self) -> None:
        """Close the connections, unless the client is the user's own. The next use makes a new one."""
        process = self._processes.pop(os.getpid(), None)
        if process is not None and process.client is not None and self._given is None:
            process.client.close()

    def process(self) -> ProcessState:
        """Return the state of the running process."""
        return self._processes.get(os.getpid()) or self._processes.setdefault(os.getpid(), ProcessState())

    def _client(self) -> Any:
        process = self.process()
        with process.lock, delay_forks():
            client = process.client = process.client or self._given or self._make()
        return client

    def _renew_credentials(self, client: Any) -> None:
        """Look for other credentials before the next request: the client has none, or they were rejected."""
        if client is self._given:
            return
        refresh_credentials(client)
        if self._session is not None and lacks_credentials(client):  # the session had found none
            process = self.process()
            with process.lock:
                if process.client is client and process.throttle.allow():
                    process.client = None

    def _make(self) -> Any:
        from botocore.config import Config

        from langgraph_checkpoint_s3.credentials import new_session

        session: Any = self._session or new_session(self._region)
        arguments: dict[str, Any] = {
            "region_name": region_of(self._region, session),
            "endpoint_url": self._endpoint_url,
            "config": Config(
                connect_timeout=_CONNECT_TIMEOUT,
                read_timeout=self.read_timeout,
                retries={"mode": "standard", "total_max_attempts": 5},
                max_pool_connections=_CONNECTIONS,
            ),
        }
        create = session.create_client if self._session is None else session.client
        client = create(self.service, **arguments)
        limit_connections(client)
        return client

    def _map_error(self, error: Exception, operation: str, target: str) -> S3CheckpointError | None:
        """Return our error for one of botocore's; `None` for any other."""
        from botocore import exceptions as boto

        action = self.actions[operation]
        without_credentials = credentials_error(error)
        if without_credentials is not None:
            without_credentials.reason = f"{without_credentials.reason}. It was for {action} with {target}"
            return without_credentials
        if isinstance(error, boto.ClientError):
            return self._of_response(error.response, operation, target)
        settings = (
            *(boto.ParamValidationError, boto.InvalidRegionError, boto.NoRegionError, ValueError),
            *(boto.ProfileNotFound, boto.ConfigNotFound, boto.ConfigParseError, boto.InvalidConfigError),
            boto.UnknownServiceError,
        )
        if isinstance(error, settings):
            return InvalidConfigError(
                f"{self.title} can't be asked with these settings ({error}): check {self.settings}"
            )
        if isinstance(error, boto.HTTPClientError):
            # Botocore keeps the request in it, session token included.
            for attributes in (vars(error), error.kwargs):
                for name in ("request", "response"):
                    attributes.pop(name, None)  # type: ignore[misc]  # more than its types know
        if isinstance(error, (boto.BotoCoreError, OSError)):
            return StorageUnavailableError(
                f"{self.title} can't be reached ({type(error).__name__}: {error}) for {action} with {target}"
                ". Check region, endpoint_url and network; from a VPC without internet, its VPC endpoint"
            )
        return None

    def _of_response(self, response: Any, operation: str, target: str) -> S3CheckpointError:
        details = response.get("Error", {})
        code, message = str(details.get("Code", "")), str(details.get("Message", ""))
        metadata = response.get("ResponseMetadata", {})
        status = int(metadata.get("HTTPStatusCode", 0))
        action = self.actions[operation]
        error: S3CheckpointError | None
        if code in ("AccessDeniedException", "AccessDenied") or status == 403:
            error = AccessDeniedError(
                f"Access denied: these credentials need {action} on {target}, by their policy or its own",
                action=action,
            )
        else:
            error = self.refusal(operation, target, code, status)
        if error is None:
            attempts = int(metadata.get("RetryAttempts", 0)) + 1
            tried = f"{attempts} attempt{'s' if attempts > 1 else ''}"
            error = StorageUnavailableError(
                f"{self.title} failed at {action} with {target}, after {tried}",
                attempts=attempts,
                status=status,
            )
        error.reason = f"{error.reason}. {self.title} says: {code} {message}".rstrip()
        error.request_ids = (metadata["RequestId"],) if metadata.get("RequestId") else ()
        return error


class ProcessState:
    """State of one process. A forked one mustn't share its parent's sockets, nor locks that are held.

    Attributes:
        client: Boto3's client; `None` until it is made.
        throttle: Limits how often a client is made anew.
        lock: Guards the others.
        running: Requests under way whose answer other threads wait for.
    """

    def __init__(self) -> None:
        self.client: Any = None
        self.throttle = Throttle()
        self.lock = threading.Lock()
        self.running: dict[object, Future[Any]] = {}
