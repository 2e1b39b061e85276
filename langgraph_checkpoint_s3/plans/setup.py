"""`setup`, and the probe that it shares with the admin's `check`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, TypeVar

from langgraph_checkpoint_s3.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    NotSupportedError,
    S3CheckpointError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.format.retention import DEFAULT, TAG
from langgraph_checkpoint_s3.plans.plan import Plan, ask, ask_all, return_errors
from langgraph_checkpoint_s3.plans.scan import Pages
from langgraph_checkpoint_s3.s3.admin_requests import GetTags
from langgraph_checkpoint_s3.s3.bucket_settings import VERSIONING, PutSetting
from langgraph_checkpoint_s3.s3.requests import (
    Attempted,
    Body,
    CreateBucket,
    DeleteObjects,
    Failure,
    GetObject,
    ListObjects,
    PreconditionFailed,
    PutObject,
    Request,
    Stored,
)

T = TypeVar("T")

PROBE: Final = b"langgraph-checkpoint-s3 setup probe; may be deleted\n"
"""Content of a probe object."""
NAMES: Final = ("-", "10", "9", "A", "_", "a", "one/1", "one/2", "two/1")
"""Names of probe objects, in S3's order. A natural sort order of numbers and letters would differ."""
FOLDERS: Final = ("one/", "two/")
"""Common prefixes of the names, with `/` as the delimiter."""
NO_TAGS: Final = "The store doesn't keep the tags of objects, by which lifecycle rules know retention classes"
_PAGE: Final = 4
"""Keys per page, small enough for several pages."""


def probe_key(prefix: str, name: str) -> str:
    """Return the key of a probe object, in a folder below the prefix that no thread's key can be in."""
    return f"{prefix}.probe/{name}"


@dataclass(slots=True)
class Probe:
    """Small objects that are written to try a store, and the store's answers.

    Answers are kept by the name of the request. Each is an answer or a `Failure`. A name is missing if the
    request wasn't sent, because another one that it needs has failed:

        write   PUT of an object, only if it is new   list    LIST of all objects, a few keys at a time
        read    GET of it                             again   `write` once more, now that the object exists
        NAMES   PUT of more objects, each by its own name
        tags    GET of the tags of the first one, if it has any

    Attributes:
        folder: Prefix of the objects' keys.
        answers: The answers.
        tagged: Whether to write that object with a retention tag.
    """

    OBJECTS: ClassVar[Mapping[str, str]] = {"written": "write", **{name: name for name in NAMES}}
    """The request that writes an object, by the object's name."""

    folder: str
    answers: dict[str, Any] = field(default_factory=dict)
    tagged: bool = False

    @property
    def written(self) -> str:
        """The key of the object that `write` writes."""
        return f"{self.folder}written"

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys that may exist, in S3's order."""
        return tuple(self.folder + name for name in sorted(self.OBJECTS))

    @property
    def existing(self) -> tuple[str, ...]:
        """The keys that were written, in S3's order."""
        return tuple(
            self.folder + name for name, request in sorted(self.OBJECTS.items()) if self.stored(request)
        )

    def stored(self, name: str) -> bool:
        """Return whether a request that writes an object has left one."""
        return isinstance(self.answers.get(name), (Stored, PreconditionFailed))

    def error(self, name: str) -> S3CheckpointError | None:
        """Return the error of a request, if it failed."""
        answer = self.answers.get(name)
        return answer.error if isinstance(answer, Failure) else None

    def ask(self, requests: Mapping[str, Request[Any]]) -> Plan[None]:
        """Send requests as one round trip, and keep their answers."""
        answers = yield from ask_all(Attempted(request) for request in requests.values())
        self.answers |= zip(requests, answers, strict=True)

    def put(self) -> dict[str, Request[Any]]:
        """Return the request `write`, or `again`."""
        name = "again" if "write" in self.answers else "write"
        tag = DEFAULT if self.tagged else None
        return {name: PutObject(self.written, PROBE, only_new=True, tag=tag)}

    def fill(self, names: Iterable[str] = NAMES) -> dict[str, Request[Any]]:
        """Return the requests `read`, `tags` and those for `NAMES`."""
        # Not in S3's order: a store that lists in the order of writing is to be found out.
        ordered = list(names)
        unordered = (*ordered[1::2], *ordered[::2])
        return {
            "read": GetObject(self.written, keep=False),
            **({"tags": GetTags(self.written)} if self.tagged else {}),
            **{name: PutObject(self.folder + name, PROBE) for name in unordered},
        }

    def list(self) -> Plan[None]:
        """List all objects, page by page, as the answer `list`."""
        found = yield from return_errors(Pages(self.folder, first=_PAGE, page=_PAGE).rest())
        self.answers["list"] = Failure(found) if isinstance(found, S3CheckpointError) else found

    @property
    def loses_tags(self) -> bool:
        """True if the object was written with a tag, and answers without."""
        tags = self.answers.get("tags")
        return isinstance(tags, Mapping) and tags.get(TAG) != DEFAULT

    def list_problem(self) -> Literal["missing", "unordered"] | None:
        """Return what is wrong with the list, compared with the existing keys."""
        existing = list(self.existing)
        found = [entry.key for entry in self.answers["list"] if entry.key in existing]
        if found == existing:
            return None
        return "unordered" if sorted(found) == existing else "missing"


def setup(prefix: str, nonce: str, *, versioning: bool, tagged: bool = False) -> Plan[bool]:
    """Create the bucket if it is missing, and try reads, writes, lists, deletes and conditional writes.

    Args:
        prefix: The saver's prefix.
        nonce: A unique text, for the probe's keys.
        versioning: Turn the bucket's versioning on.
        tagged: Try tags, too.

    Returns:
        Whether the store honours `If-None-Match: *`, and so keeps first writes first.

    Raises:
        BucketNotFoundError: There is no bucket, and it can't be created.
        AccessDeniedError: Permissions are missing; the message names all that were found to be.
        NotSupportedError: The store lists in another order than S3's, or has no tags.
        StorageUnavailableError: The store doesn't read back or list what was written.
    """
    denied: list[AccessDeniedError] = []
    probe = Probe(probe_key(prefix, f"{nonce}/"), tagged=tagged)
    try:
        page = yield from _allowed(ListObjects(probe.folder), denied)
    except BucketNotFoundError:
        yield from _create()
        page = yield from _allowed(ListObjects(probe.folder), denied)
    if versioning:
        yield from _allowed(PutSetting(VERSIONING, {"Status": "Enabled"}), denied)
    try:
        yield from _try(probe, may_list=page is not None)
    except GeneratorExit:
        raise
    except BaseException:
        yield from return_errors(ask(DeleteObjects(probe.keys)))
        raise
    denied += [error for name in probe.answers if isinstance(error := probe.error(name), AccessDeniedError)]
    if probe.stored("write"):
        yield from _allowed(DeleteObjects(probe.existing), denied)
    if denied:
        raise missing_permissions(denied) from denied[0]
    return isinstance(probe.answers.get("again", PreconditionFailed()), PreconditionFailed)


def missing_permissions(denied: Sequence[AccessDeniedError]) -> AccessDeniedError:
    """Return one error for all missing permissions."""
    actions = ", ".join(dict.fromkeys(error.action or "?" for error in denied))
    return AccessDeniedError(
        f"These credentials lack {actions}: {denied[0].reason}",
        action=denied[0].action,
        bucket=denied[0].bucket,
        key=denied[0].key,
        request_ids=denied[0].request_ids,
    )


def _try(probe: Probe, *, may_list: bool) -> Plan[None]:
    """Write, read and list the probe. Raise all errors except missing permissions."""
    yield from _raising(probe, probe.ask(probe.put()))
    if not probe.stored("write"):
        return
    yield from _raising(probe, probe.ask(probe.fill(NAMES[:-1])))
    body = probe.answers["read"]
    if not isinstance(body, Failure) and not (isinstance(body, Body) and body.data == PROBE):
        raise StorageUnavailableError("The store doesn't give back what was just written", key=probe.written)
    if probe.loses_tags:
        raise NotSupportedError(NO_TAGS, key=probe.written)
    if may_list:
        yield from _raising(probe, probe.list())
        problem = None if probe.error("list") else probe.list_problem()
        if problem == "missing":
            listed = {entry.key for entry in probe.answers["list"]}
            key = next((key for key in probe.existing if key not in listed), probe.folder)
            raise StorageUnavailableError("The store doesn't list what was just written", key=key)
        if problem == "unordered":
            raise NotSupportedError("The store lists keys in another order than S3's", key=probe.folder)
    yield from _raising(probe, probe.ask(probe.put()))


def _raising(probe: Probe, plan: Plan[None]) -> Plan[None]:
    """Run a plan. Raise the first error of the probe that isn't a missing permission."""
    yield from plan
    for name in probe.answers:
        error = probe.error(name)
        if error is not None and not (isinstance(error, AccessDeniedError) and error.action):
            raise error


def _create() -> Plan[None]:
    try:
        yield from ask(CreateBucket())
    except AccessDeniedError as error:
        raise BucketNotFoundError(
            "The bucket doesn't exist, and these credentials may not make it (s3:CreateBucket). Make it, or "
            "check its name and region",
            bucket=error.bucket,
            request_ids=error.request_ids,
        ) from error


def _allowed(request: Request[T], denied: list[AccessDeniedError]) -> Plan[T | None]:
    """Send a request. If it isn't permitted, add the error to a list."""
    try:
        return (yield from ask(request))
    except AccessDeniedError as error:
        if error.action is None:
            raise  # the credentials themselves are wrong, so all else would fail too
        denied.append(error)
        return None
