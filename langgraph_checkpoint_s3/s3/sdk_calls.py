"""Calls of an SDK's client, blocking or not: their arguments, and the facts noted about their responses.

A call runs in a context (`calling`) with an `Attempt`. Handlers on the client find it there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from io import BytesIO
from typing import Any

from langgraph_checkpoint_s3.format.pieces import Pieces, buffers_of
from langgraph_checkpoint_s3.request_timeout import limit_requests
from langgraph_checkpoint_s3.s3.answer_checks import BEGINNING, InvalidResponse, Received
from langgraph_checkpoint_s3.s3.deadline import Attempt

_running: ContextVar[Attempt | None] = ContextVar("langgraph_checkpoint_s3_call", default=None)


@contextmanager
def calling(attempt: Attempt) -> Iterator[None]:
    """Let the client's handlers find a call's `Attempt`, in this thread or task.

    Raises:
        InvalidResponse: botocore can't parse the response.
    """
    token = _running.set(attempt)
    try:
        with limit_requests(attempt.limit):
            yield
    except Exception as error:
        if attempt.received is not None and not attempt.reading and _is_parser_error(error):
            raise InvalidResponse("it can't be parsed") from error
        raise
    finally:
        _running.reset(token)


def _is_parser_error(error: Exception) -> bool:
    from botocore.parsers import ResponseParserError  # slow to import, and loaded once a response has come

    return isinstance(error, (ResponseParserError, ValueError))  # a number or a time that is none


def note_response(response_dict: Mapping[str, Any], **_: Any) -> None:
    """Handle botocore's `before-parse`: note facts about the response, for errors' texts."""
    attempt = _running.get()
    if attempt is None:
        return
    body = response_dict["body"]
    read = body if isinstance(body, bytes) else None  # an object's is a stream, read later
    attempt.received = Received(
        response_dict["status_code"],
        str(response_dict["headers"].get("content-type") or ""),
        None if read is None else len(read),
        (read or b"")[:BEGINNING],
    )


def stop_redirect_loop(response: Any = None, operation: Any = None, **_: Any) -> None:
    """Handle botocore's `needs-retry`: fail on a redirect that names no region.

    botocore asks for the bucket's region by a HeadBucket then. If that is redirected too, it asks again,
    until the stack overflows.
    """
    if _running.get() is None or response is None or operation.name != "HeadBucket":
        return
    answer, parsed = response
    if 300 <= answer.status_code < 400 and "x-amz-bucket-region" not in answer.headers:
        from botocore.exceptions import ClientError  # imported by a client, which this handles a response of

        raise ClientError(parsed, operation.name)


def with_file(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments with a file instead of views of bytes, which botocore doesn't take."""
    body = arguments.get("Body")
    if not isinstance(body, (memoryview, Pieces)):
        return arguments
    file = BytesIO()  # of a file that shares its bytes aiohttp would make a second copy
    file.writelines(buffers_of(body))
    file.seek(0)
    return {**arguments, "Body": file}


def has_body(response: Any) -> bool:
    """Return whether a response of a client's method has an object's body."""
    return isinstance(response, dict) and "Body" in response  # a signed URL is text
