"""Observations of one check, the store's answers, and the findings that are made from them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from langgraph_checkpoint_s3.admin.bucket.configure import PUBLIC_ACCESS_FLAGS, default_encryption
from langgraph_checkpoint_s3.admin.bucket.policies import Arns, merge, partition_of, tls_statement
from langgraph_checkpoint_s3.admin.check.report import (
    Finding,
    lacking,
    missing,
    not_supported,
    ok,
    unknown,
    unseen,
    untried,
    warning,
)
from langgraph_checkpoint_s3.admin.lifecycle.classes import retention_findings
from langgraph_checkpoint_s3.admin.lifecycle.memory_rules import memory_findings
from langgraph_checkpoint_s3.admin.lifecycle.policy import (
    Reach,
    Rule,
    added_days,
    horizon_days,
    horizon_of,
)
from langgraph_checkpoint_s3.admin.lifecycle.transitions import OFFLINE
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    InvalidConfigError,
    NotSupportedError,
    S3CheckpointError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.format.keys import THREAD_SUFFIX
from langgraph_checkpoint_s3.format.retention import TAG
from langgraph_checkpoint_s3.plans.setup import FOLDERS, NAMES, NO_TAGS, PROBE, Probe
from langgraph_checkpoint_s3.s3.admin_requests import BucketHead, Signed
from langgraph_checkpoint_s3.s3.bucket_settings import (
    ENCRYPTION,
    LIFECYCLE,
    POLICY,
    PUBLIC_ACCESS,
    VERSIONING,
    Setting,
)
from langgraph_checkpoint_s3.s3.requests import Body, Deletion, Failure, Page, PreconditionFailed, Stored

FIRST, LENGTH = 20, 9
"""Offset and length of the range read of the probe."""
_MAX_SKEW: Final = timedelta(minutes=1)
_DATE_PRECISION: Final = timedelta(seconds=1)
"""Precision of an HTTP date."""
_CLOCK: Final = "Set this machine's clock right, with NTP"
_SETTING: Final = "Correct that setting of the saver"
_BEFORE: Final[Mapping[str, tuple[str, ...]]] = {
    "connection": (),
    "credentials": ("connection",),
    "clock": ("connection",),
    "region": ("connection",),
    "bucket": ("connection", "credentials"),
}
"""Findings that are `ok` although the key's isn't."""
_FEWER_PROCESSES: Final = "Let no two processes run one thread at once, or use a store that has this"
_OTHER_STORE: Final = "Use a store, or a kind of bucket, that lists as S3's general purpose buckets do"
_TAGGING: Final = " and s3:PutObjectTagging"
RETENTION: Final = "retention"
SETTINGS: Final = (VERSIONING, ENCRYPTION, PUBLIC_ACCESS, POLICY, LIFECYCLE)
"""The settings that these findings need."""
_TLS: Final = "admin.configure_bucket(tls_only=True) sets one"
_NO_ABORT: Final = "No lifecycle rule aborts"
_ABORTS: Final = "admin.set_lifecycle_policy(LifecyclePolicy()) sets a rule of 7 days"


@dataclass(slots=True, kw_only=True)
class Observations(Probe):
    """A probe of one bucket, with more requests than `setup` sends.

        head      HEAD of the bucket                 after     LIST of the keys after that of the copy
        upload    CreateMultipartUpload              folders   LIST with a delimiter
        signed    a signed URL, which isn't sent     versioned LIST of versions, where there should be none
        settings  GET, each by the setting's name    complete  CompleteMultipartUpload onto the copy
        range     GET of a range of `written`        delete    DeleteObjects of all objects
        copy      COPY of it                         abort     AbortMultipartUpload
        part      UploadPart                         versions  LIST of the versions that are left, and
        absent    HEAD of an object that isn't there purge     their deletion
        memories  LIST of one item of long-term memory

    Attributes:
        config: The saver's configuration.
        begun: This machine's time before the first round trip.
        ended: This machine's time after the first round trip.
    """

    OBJECTS: ClassVar[Mapping[str, str]] = {**Probe.OBJECTS, "copied": "copy"}

    config: S3Config
    begun: datetime
    ended: datetime

    @property
    def copied(self) -> str:
        """The key of the copy. It is written after `written`, and comes before it in a list."""
        return f"{self.folder}copied"

    @property
    def resource(self) -> str:
        """The objects that permissions are needed for."""
        return f"{self.config.bucket}/{self.config.prefix}*"

    @property
    def upload_id(self) -> str | None:
        """The ID of the multipart upload."""
        answer = self.answers.get("upload")
        return answer if isinstance(answer, str) else None

    @property
    def address(self) -> str:
        """The address that the client uses, however it was configured; empty if unknown."""
        signed = self.answers.get("signed")
        if not isinstance(signed, Signed):
            return self.config.endpoint_url or ""
        url = urlsplit(signed.url)
        return f"{url.scheme}://{url.netloc}"

    @property
    def bucket_errors(self) -> list[S3CheckpointError | None]:
        """The error, or `None`, of each request whose answer depends on the bucket and the credentials.

        The answer to a HEAD has no body, so that a wrong secret looks like a missing permission. Aborting
        and signing need no bucket.
        """
        excluded = ("head", "absent", "abort", "signed")
        return [self.error(name) for name in self.answers if name not in excluded]


def response_of(error: S3CheckpointError) -> Mapping[str, Any]:
    """Return S3's own answer from botocore's error; empty if there was none."""
    return getattr(error.__cause__, "response", None) or {}


def code_of(error: S3CheckpointError) -> str:
    """Return S3's error code; empty if there was no answer."""
    return str(response_of(error).get("Error", {}).get("Code", ""))


def headers_of(answer: object) -> Mapping[str, str]:
    """Return the headers of an error's answer, by their names in lower case."""
    metadata = response_of(answer.error).get("ResponseMetadata", {}) if isinstance(answer, Failure) else {}
    headers: Mapping[str, str] = metadata.get("HTTPHeaders") or {}
    return headers


def obstacle(seen: Observations) -> Finding | None:
    """Return the finding that explains why everything fails, after the first round trip."""
    errors = [error for error in seen.bucket_errors if error]
    for error in errors:
        if isinstance(error, BucketNotFoundError):
            remedy = "Make it with saver.setup() or admin.create_bucket(), or correct its name"
            return Finding("bucket", "missing", "The bucket doesn't exist", remedy)
        if isinstance(error, AccessDeniedError) and error.action is None:
            if code_of(error) == "RequestTimeTooSkewed":
                skew = clock(seen)
                return Finding("clock", "missing", skew.detail if skew.remedy else error.reason, _CLOCK)
            remedy = "Give the right credentials, by AWS's environment variables, a profile or a role"
            return Finding("credentials", "missing", error.reason, remedy)
    if not all(seen.bucket_errors):
        return None
    if all(isinstance(error, InvalidConfigError) for error in errors):
        name = "region" if code_of(errors[0]) not in ("", "InvalidBucketName") else "connection"
        return Finding(name, "missing", errors[0].reason, _SETTING)
    if all(isinstance(error, StorageUnavailableError) for error in errors):
        remedy = "Check endpoint_url and region, then network, proxy and firewall, then the store itself"
        return Finding("connection", "missing", errors[0].reason, remedy)
    return None


def behind_obstacle(name: str, obstacle: Finding, seen: Observations) -> Finding:
    """Return a finding if everything else fails because of an obstacle."""
    if name == obstacle.name:
        return obstacle
    examine = {"region": region, "clock": clock}.get(name)
    if examine and (found := examine(seen)).status != "unknown":
        return found
    if name in _BEFORE[obstacle.name]:
        return ok("The store answers" if name == "connection" else "The store knows them")
    return untried(obstacle.name)


def connection(seen: Observations) -> Finding:
    """Return that the store answers: otherwise there is an obstacle."""
    return ok(f"The store answers at {seen.address or 'its address'}")


def credentials(seen: Observations) -> Finding:
    """Return that the credentials are valid: otherwise there is an obstacle."""
    return ok("The store knows them")


def bucket(seen: Observations) -> Finding:
    """Check that the bucket exists."""
    if not all(isinstance(error, AccessDeniedError) for error in seen.bucket_errors):
        return ok("It is there")
    owner = seen.config.expected_bucket_owner
    return unknown(
        f"All is denied, as for a bucket that isn't {f'account {owner}’s' if owner else 'this account’s'}",
        "Check the bucket's name and expected_bucket_owner, and whose these credentials are",
    )


def region(seen: Observations) -> Finding:
    """Compare the bucket's region with the client's."""
    head, client = seen.answers["head"], seen.config.region
    if isinstance(head, BucketHead):
        actual, client = head.region, head.client_region or client
    else:  # S3 sends the region even with a 403
        actual = headers_of(head).get("x-amz-bucket-region")
    if actual is None and isinstance(head, Failure):
        return unseen(head.error, f"{seen.config.bucket}, without a condition on the prefix,")
    if actual is None:
        return ok(f"The store names none, and takes {client or 'any'}")
    if client in (None, actual):
        return ok(f"The bucket is in {actual}")
    return warning(
        f"The bucket is in {actual}, and the client asks in {client}: AWS redirects each client's first "
        "request, and other stores may refuse it",
        f"Set region={actual!r}",
    )


def clock(seen: Observations) -> Finding:
    """Compare this machine's clock with the store's."""
    date = _date(seen)
    if date is None:
        return unknown("The store doesn't say what time it has")
    ahead, behind = seen.begun - date - _DATE_PRECISION, date - seen.ended
    skew = max(ahead, behind)
    if skew < _MAX_SKEW:
        apart = f" within {skew.total_seconds():.0f} s" if skew > timedelta(0) else ""
        return ok(f"This machine's and the store's agree{apart}")
    return warning(
        f"This machine's is {skew.total_seconds():.0f} s {'ahead of' if ahead > behind else 'behind'} the "
        "store's; S3 refuses all requests from 15 minutes on",
        _CLOCK,
    )


def _date(seen: Observations) -> datetime | None:
    """Return the store's time in the first round trip."""
    head = seen.answers["head"]
    if isinstance(head, BucketHead):
        return head.date
    for answer in (head, seen.answers["write"]):
        try:
            return parsedate_to_datetime(headers_of(answer)["date"])
        except (KeyError, ValueError, TypeError):
            continue
    return None


def writes(seen: Observations) -> Finding:
    """Check that objects can be written, with the saver's tags, encryption and storage class."""
    config = seen.config
    if error := next(filter(None, map(seen.error, ("write", *NAMES))), None):
        more = _TAGGING if config.object_tags or config.retention else ""
        if config.server_side_encryption.startswith("aws:kms"):
            more += " (and kms:GenerateDataKey and kms:Decrypt on the key)"
        return lacking(error, seen.resource, more=more)
    options = [f"{len(config.object_tags)} tags"] if config.object_tags else []
    if config.server_side_encryption not in ("auto", "off"):
        options.append(f"encryption {config.server_side_encryption}")
    if config.storage_class:
        options.append(f"storage class {config.storage_class}")
    return ok(f"An object was written{' with ' if options else ''}{', '.join(options)}")


def reads(seen: Observations) -> Finding:
    """Check that an object reads as it was written."""
    return _compare(seen, "read", "An object", PROBE)


def range_reads(seen: Observations) -> Finding:
    """Check that a range of an object reads as it was written."""
    return _compare(seen, "range", "A piece of an object", PROBE[FIRST : FIRST + LENGTH])


def absence(seen: Observations) -> Finding:
    """Check that the store answers 404 for an absent object, not 403."""
    if "absent" not in seen.answers:
        return untried("writes")
    error = seen.error("absent")
    if error is None:
        return ok("What isn't there is said not to be there")
    if not isinstance(error, AccessDeniedError):
        return lacking(error, seen.resource)
    if isinstance(seen.error("read"), AccessDeniedError):
        return untried("reads")
    return missing(
        "An object that isn't there is refused as one that may not be read: large states, and checkpoints "
        "whose lenders were deleted, then can't be put",
        f"Allow s3:ListBucket on {seen.config.bucket}; where it is (Ceph), without a condition for the "
        "prefix: iam_policy(whole_bucket=True)",
    )


def _compare(seen: Observations, name: str, what: str, expected: bytes) -> Finding:
    if error := seen.error(name):
        return lacking(error, seen.resource)
    answer = seen.answers.get(name)
    if answer is None:
        return untried("writes")
    if isinstance(answer, Body) and answer.data == expected:
        return ok(f"{what} reads as it was written")
    got = f"{len(answer.data)} other bytes" if isinstance(answer, Body) else "that it isn't there"
    return missing(
        f"{what} was written just before, and the store answers with {got}",
        "Keep no checkpoints there before the store, or the proxy before it, answers right",
    )


def lists(seen: Observations) -> Finding:
    """Check that lists are consistent, in S3's order, and honour `StartAfter` and delimiters."""
    error = seen.error("list") or seen.error("after")
    if isinstance(error, NotSupportedError):
        return missing(error.reason, _OTHER_STORE)
    folders = seen.error("folders")
    if error := error or (None if isinstance(folders, NotSupportedError) else folders):
        return lacking(error, seen.config.bucket)
    existing, wrong = seen.existing, seen.list_problem()
    after = [entry.key for entry in seen.answers["after"].entries if entry.key in existing]
    if wrong == "missing":
        problem = "The store doesn't list what was just written"
    elif wrong == "unordered":
        problem = "The store lists keys in another order than S3 does"
    elif after != [key for key in existing if key > seen.copied]:
        problem = "The store doesn't begin a list where it is told to (StartAfter)"
    elif not existing:
        return ok("Lists are allowed; nothing could be written to be found there")
    elif not _lists_folders(seen):
        return warning(
            "The store doesn't list folders (Delimiter): threads() and the command line find no threads",
            "Name threads yourself: what is done with one of them works without",
        )
    else:
        return ok("What was written is listed at once, in order, page by page")
    return missing(f"{problem}: by that a saver finds the latest checkpoint", _OTHER_STORE)


def _lists_folders(seen: Observations) -> bool:
    page = seen.answers["folders"]
    expected = [seen.folder + name for name in FOLDERS]
    expected = [folder for folder in expected if any(key.startswith(folder) for key in seen.existing)]
    return isinstance(page, Page) and list(page.prefixes) == expected


def copies(seen: Observations) -> Finding:
    """Check that the store copies objects."""
    if error := seen.error("copy"):
        return lacking(
            error,
            seen.resource,
            otherwise="Do without copy_thread(), which needs it",
            more=_TAGGING if seen.config.object_tags else "",
        )
    answer = seen.answers.get("copy")
    if answer is None:
        return untried("writes")
    if isinstance(answer, Stored):
        return ok("The store copies an object by itself")
    return missing("The store doesn't find what was written just before", "See reads")


def deletes(seen: Observations) -> Finding:
    """Check that objects can be deleted, and that all of the probe is gone."""
    answer = seen.answers["delete"]
    if isinstance(answer, Failure):
        found = lacking(answer.error, seen.resource)
    elif answer.failed:
        _, code, message = answer.failed[0]
        allow = f"Allow s3:DeleteObject on {seen.resource}"
        remedy = allow if code == "AccessDenied" else "Check again; if it stays so, ask who runs the store"
        found = missing(f"The store doesn't delete ({code} {message})", remedy)
    else:
        return ok(f"Objects can be deleted{_versions_left(seen)}")
    left = seen.stored("write") or seen.stored("copy") or seen.stored("complete")
    return replace(found, detail=f"{found.detail}; the probe stays in {seen.folder}") if left else found


def _versions_left(seen: Observations) -> str:
    """Return a text about the probe's versions if some are left, else an empty one."""
    for name, action in (("versions", "s3:ListBucketVersions"), ("purge", "s3:DeleteObjectVersion")):
        answer = seen.answers.get(name)
        if isinstance(answer, Failure) or (isinstance(answer, Deletion) and answer.failed):
            return f"; the probe's versions stay in {seen.folder} ({action} removes them)"
    return ""


def multipart(seen: Observations) -> Finding:
    """Check multipart uploads."""
    for name in ("upload", "part", "complete"):
        if error := seen.error(name):
            size = seen.config.multipart_threshold
            otherwise = f"Set multipart_threshold (now {size:,} bytes) above the largest state, up to 5 GB"
            return lacking(error, seen.resource, otherwise=otherwise)
    if error := seen.error("abort"):
        found = lacking(error, seen.resource)
        return replace(found, detail=f"{found.detail}. An upload of {seen.copied} may stay")
    return ok("An object can be uploaded in parts, and an upload aborted")


def conditional_writes(seen: Observations) -> Finding:
    """Check that `If-None-Match: *` is honoured for a PUT."""
    if error := seen.error("again"):
        return lacking(error, seen.resource)
    answer = seen.answers.get("again")
    if answer is None:
        return untried("writes")
    if isinstance(answer, PreconditionFailed):
        return ok("The store honours If-None-Match: the first write stays")
    versioning = seen.answers[VERSIONING.name]
    versioned = isinstance(versioning, dict) and versioning.get("Status") == "Enabled"
    only = ". Some stores, such as Ceph, have it only without versioning" if versioned else ""
    return not_supported(
        "The store doesn't honour If-None-Match: where two processes write the same task's results at once, "
        f"the last one wins, not the first{only}",
        _FEWER_PROCESSES,
    )


def conditional_uploads(seen: Observations) -> Finding:
    """Check that `If-None-Match: *` is honoured when a multipart upload is completed."""
    answer = seen.answers.get("complete")
    if answer is None or isinstance(answer, Failure):
        return untried("multipart")
    if isinstance(answer, PreconditionFailed):
        return ok("The store honours If-None-Match for uploads too")
    if not seen.stored("copy"):  # there was no object to protect
        return untried("copies")
    size = seen.config.multipart_threshold
    return not_supported(
        "The store doesn't honour If-None-Match for uploads: where two processes write the same task's "
        f"results at the same moment, {size:,} bytes or more of them, the last one wins",
        _FEWER_PROCESSES,
    )


def versioning(seen: Observations) -> Finding:
    """Check that versioning is as configured, and that old versions expire."""
    document, config = seen.answers[VERSIONING.name], seen.config
    found = _unread(seen, VERSIONING)
    error = seen.error("versioned")
    if not document and isinstance(error, NotSupportedError):  # some stores answer "off" without having it
        found = not_supported(error.reason)
    if found and found.status == "not supported" and config.versioning:
        return missing(found.detail, "Use a store that has it, or make the saver without")
    if found:
        return found
    status = (document or {}).get("Status", "")
    if status != "Enabled":
        state = status.lower() or "off"
        if config.versioning:
            return missing(f"It is {state}, and the saver's is True", "Call saver.setup()")
        detail = f"It is {state}: what is deleted or replaced is gone"
        return ok(detail, "admin.enable_versioning() keeps it")
    rules = seen.answers[LIFECYCLE.name]
    if seen.error(LIFECYCLE.name):
        return ok("It is on; see lifecycle for what becomes of old versions")
    if any(_expires_versions(rule, seen) for rule in _rules(rules)):
        return ok("It is on, and old versions expire")
    return warning(
        "It is on, and nothing removes old versions: what was deleted or replaced is billed for ever",
        "admin.set_lifecycle_policy(LifecyclePolicy(noncurrent_version_days=30))",
    )


def encryption(seen: Observations) -> Finding:
    """Check the default encryption, and that the saver's own isn't weaker."""
    mode = seen.config.server_side_encryption
    own = "" if mode in ("auto", "off") else f"; the saver asks for {mode} with each object"
    if found := _unread(seen, ENCRYPTION):
        return replace(found, detail=found.detail + own)
    rule, default = default_encryption(seen.answers[ENCRYPTION.name])
    algorithm = default.get("SSEAlgorithm")
    if algorithm:
        key = f" with the key {default['KMSMasterKeyID']}" if default.get("KMSMasterKeyID") else ""
        if algorithm == "aws:kms":
            key += f", bucket key {'on' if rule.get('BucketKeyEnabled') else 'off'}"
        detail = f"The bucket's default is {algorithm}{key}{own}"
        if own and algorithm.startswith("aws:kms") and not _keeps_the_key(seen.config, algorithm, default):
            remedy = "Leave server_side_encryption out, or name the bucket's key in kms_key_id"
            return warning(f"{detail}, which overrides the default and its key", remedy)
        return ok(detail)
    if own:
        return ok(f"The bucket has no default{own}")
    remedy = "admin.configure_bucket() sets one"
    return warning("The bucket has no default encryption", remedy)


def _keeps_the_key(config: S3Config, algorithm: str, default: Mapping[str, str]) -> bool:
    """Return whether the saver's encryption is no weaker than the bucket's, and doesn't override its key."""
    mode = config.server_side_encryption
    chosen = config.kms_key_id is not None or not default.get("KMSMasterKeyID")
    # `aws:kms:dsse` is the longer name, and the stronger encryption.
    return mode.startswith("aws:kms") and len(mode) >= len(algorithm) and chosen


def public_access(seen: Observations) -> Finding:
    """Check that public access is blocked."""
    if found := _unread(seen, PUBLIC_ACCESS):
        return found
    document = seen.answers[PUBLIC_ACCESS.name] or {}
    off = [flag for flag in PUBLIC_ACCESS_FLAGS if not document.get(flag)]
    if not off:
        return ok("It is blocked")
    which = "all of it" if len(off) == len(PUBLIC_ACCESS_FLAGS) else ", ".join(off)
    remedy = (
        "admin.configure_bucket(block_public_access=True) blocks it. On other stores than AWS, try that on "
        "another bucket first: Ceph 16 then refuses all writes"
    )
    return warning(f"The bucket doesn't block it ({which} is off)", remedy)


def tls_only(seen: Observations) -> Finding:
    """Check that the bucket's policy denies plain HTTP."""
    policy = seen.answers[POLICY.name]
    if found := _unread(seen, POLICY):
        return found
    head = seen.answers["head"]
    region = seen.config.region or (head.region if isinstance(head, BucketHead) else None)
    try:
        arns = Arns.of(seen.config.bucket, partition_of(region))
        denies_http = merge(policy, tls_statement(arns)) == policy
    except NotSupportedError as error:
        return not_supported(error.reason)
    except InvalidConfigError as error:
        return unknown(error.reason)
    if denies_http:
        return ok("The bucket's policy refuses plain HTTP")
    if seen.address.startswith("http:"):
        detail, remedy = "This saver itself uses plain HTTP", f"Use an https:// address; then {_TLS}"
        return warning(detail, remedy)
    return warning("No statement of the bucket's policy refuses plain HTTP", _TLS)


def lifecycle(seen: Observations) -> Finding:
    """Check that lifecycle rules abort unfinished uploads, and delete no checkpoints and no memories."""
    if found := _unread(seen, LIFECYCLE):
        return found
    rules = _rules(seen.answers[LIFECYCLE.name])
    classes = seen.config.retention
    problems = lifecycle_findings(rules, seen.config.prefix, horizon_of(seen.config), classes)
    memories = seen.answers.get("memories")
    if isinstance(memories, Page) and memories.entries:
        problems += memory_findings(rules, seen.config)
    if problems:
        unaborted = any(each.startswith(_NO_ABORT) for each in problems)
        return warning(" ".join(problems), _ABORTS if unaborted else "")
    if error := seen.error("memories"):
        return unseen(error, seen.config.bucket)
    by_age = "only those of retention classes" if classes else "no checkpoints"
    return ok(f"Abandoned uploads are aborted, and {by_age} are deleted by age")


def retention(seen: Observations) -> Finding:
    """Check that the store keeps tags, and that each retention class has its lifecycle rule."""
    if error := seen.error("tags"):
        return unseen(error, seen.resource)
    if "tags" not in seen.answers:
        return untried("writes")
    if seen.loses_tags:
        return not_supported(NO_TAGS, "Make the saver without retention")
    if found := _unread(seen, LIFECYCLE):
        return found
    rules = _rules(seen.answers[LIFECYCLE.name])
    problems = retention_findings(rules, seen.config, acts_on)
    if problems:
        remedy = "admin.set_lifecycle_policy() sets the rules of classes; narrow others to a tag"
        return warning(" ".join(problems), remedy)
    classes = ", ".join(f"{name} {kept.days} days" for name, kept in sorted(seen.config.retention.items()))
    return ok(f"Each class has its rule: {classes}")


def _unread(seen: Observations, setting: Setting) -> Finding | None:
    """Return the finding for a setting that couldn't be read."""
    error = seen.error(setting.name)
    return unseen(error, seen.config.bucket) if error else None


def _rules(document: Any) -> list[Rule]:
    return list((document or {}).get("Rules", ()))


def _expires_versions(rule: Rule, seen: Observations) -> bool:
    reach = Reach.of(rule)
    return bool(
        rule.get("Status") == "Enabled"
        and rule.get("NoncurrentVersionExpiration")
        and seen.config.prefix.startswith(reach.prefix)
        and reach.tags <= set(seen.config.object_tags.items())
        and not reach.above
        and reach.below is None
    )


def lifecycle_findings(
    rules: Iterable[Rule], prefix: str, horizon: float, classes: Collection[str] = ()
) -> list[str]:
    """Return warnings about the effects of a bucket's rules on checkpoints.

    Args:
        rules: The bucket's rules.
        prefix: The saver's prefix.
        horizon: The borrowing horizon in seconds.
        classes: The saver's retention classes, whose own rules are wanted.
    """
    acting = [
        (rule, reach)
        for rule in rules
        if rule.get("Status") == "Enabled" and acts_on((reach := Reach.of(rule)).prefix, prefix)
    ]
    wanted = {(TAG, name) for name in classes}
    found = [
        finding
        for rule, reach in acting
        if not reach.tags & wanted or added_days(rule) < horizon_days(horizon)
        for finding in _of_rule(rule, reach, horizon_days(horizon))
    ]
    if not any(
        rule.get("AbortIncompleteMultipartUpload") and prefix.startswith(reach.prefix)
        for rule, reach in acting
    ):
        found.append(
            f"{_NO_ABORT} the multipart uploads below {prefix!r} that are never completed: "
            "their parts are billed, and no listing of objects shows them."
        )
    return found


def acts_on(rule_prefix: str, prefix: str) -> bool:
    """Return whether a rule's prefix has checkpoints of a saver's: all, or those of some threads.

    Objects in a folder that isn't a thread's belong to another saver, or aren't checkpoints.
    """
    if prefix.startswith(rule_prefix):
        return True
    folder, slash, _ = rule_prefix.removeprefix(prefix).partition("/")
    return rule_prefix.startswith(prefix) and (not slash or folder.endswith(THREAD_SUFFIX))


def _of_rule(rule: Rule, reach: Reach, horizon: int) -> Iterable[str]:
    name = f"The lifecycle rule {rule.get('ID') or '(without a name)'!r}"
    what = _objects(reach)
    expiration = rule.get("Expiration") or {}
    days, date = expiration.get("Days"), expiration.get("Date")
    if days or date:
        when = f"{days} days after they were written" if days else f"from {date:%Y-%m-%d} on"
        text = (
            f"{name} deletes {what} {when}, each by its own age: so old checkpoints of live threads go, "
            "and delta channels that are rebuilt from older writes than that break. prune_older_than() "
            "deletes by age too, and keeps what is needed."
        )
        if days and added_days(rule) < horizon:
            left = days - horizon
            which = f"checkpoints of more than {left} days" if left > 0 else "even new checkpoints"
            text += (
                f" It doesn't count the borrowing horizon in (days: {horizon}), so {which} may be there and "
                "can't be read, because what they borrow is gone. set_lifecycle_policy() adds it."
            )
        yield text
    for step in rule.get("Transitions") or ():
        if step.get("StorageClass") in OFFLINE:
            date = step.get("Date")
            when = (
                f"from {date:%Y-%m-%d} on" if date else f"{step.get('Days', 0)} days after they were written"
            )
            yield (
                f"{name} moves {what} to {step['StorageClass']} {when}: checkpoints there can't be read "
                "until restore_archived() has brought them back."
            )


def _objects(reach: Reach) -> str:
    text = f"objects below {reach.prefix!r}" if reach.prefix else "objects"
    if reach.tags:
        text += f" tagged {', '.join(f'{key}={value}' for key, value in sorted(reach.tags))}"
    if reach.above is not None:
        text += f" of more than {reach.above:,} bytes"
    if reach.below is not None:
        text += f" of less than {reach.below:,} bytes"
    return text


FINDINGS: Final[Mapping[str, Callable[[Observations], Finding]]] = {
    "connection": connection,
    "credentials": credentials,
    "bucket": bucket,
    "region": region,
    "clock": clock,
    "writes": writes,
    "reads": reads,
    "range reads": range_reads,
    "absence": absence,
    "lists": lists,
    "copies": copies,
    "deletes": deletes,
    "multipart": multipart,
    "conditional writes": conditional_writes,
    "conditional uploads": conditional_uploads,
    "versioning": versioning,
    "encryption": encryption,
    "public access": public_access,
    "TLS only": tls_only,
    "lifecycle": lifecycle,
    RETENTION: retention,
}
"""Functions that return the findings, by the finding's name, in the order of the report.

That of retention classes is only for savers that have some.
"""
