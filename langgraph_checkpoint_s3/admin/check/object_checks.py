"""What the doctor finds of objects: whether a saver can write, read, list, copy and delete them. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from langgraph_checkpoint_s3.admin.check.observations import FIRST, LENGTH, Case
from langgraph_checkpoint_s3.admin.check.report import Finding, lacking, untried
from langgraph_checkpoint_s3.errors import AccessDeniedError, NotSupportedError
from langgraph_checkpoint_s3.plans.setup import FOLDERS, NAMES, PROBE
from langgraph_checkpoint_s3.s3.bucket_settings import VERSIONING
from langgraph_checkpoint_s3.s3.requests import Body, Deletion, Failure, Page, PreconditionFailed, Stored

_FEWER_PROCESSES: Final = "Let no two processes run one thread at once, or use a store that has this"
_OTHER_STORE: Final = "Use a store, or a kind of bucket, that lists as S3's general purpose buckets do"
_TAGGING: Final = " and s3:PutObjectTagging"


def writes(case: Case) -> Finding:
    """Whether objects can be written, with all that the saver says of them."""
    config = case.config
    if error := next(filter(None, map(case.error, ("write", *NAMES))), None):
        more = _TAGGING if config.object_tags else ""
        if config.server_side_encryption.startswith("aws:kms"):
            more += " (and kms:GenerateDataKey and kms:Decrypt on the key)"
        return lacking("writes", error, case.objects, more=more)
    said = [f"{len(config.object_tags)} tags"] if config.object_tags else []
    if config.server_side_encryption not in ("auto", "off"):
        said.append(f"encryption {config.server_side_encryption}")
    if config.storage_class:
        said.append(f"storage class {config.storage_class}")
    return Finding("writes", "ok", f"An object was written{' with ' if said else ''}{', '.join(said)}")


def reads(case: Case) -> Finding:
    """Whether an object reads as it was written."""
    return _reading("reads", case, "read", "An object", PROBE)


def range_reads(case: Case) -> Finding:
    """Whether a piece of an object reads right."""
    return _reading("range reads", case, "range", "A piece of an object", PROBE[FIRST : FIRST + LENGTH])


def absence(case: Case) -> Finding:
    """Whether the store says that an object isn't there, rather than that nobody may know."""
    if "absent" not in case.answers:
        return untried("absence", "writes")
    error = case.error("absent")
    if error is None:
        return Finding("absence", "ok", "What isn't there is said not to be there")
    if not isinstance(error, AccessDeniedError):
        return lacking("absence", error, case.objects)
    if isinstance(case.error("read"), AccessDeniedError):
        return untried("absence", "reads")
    return Finding(
        "absence",
        "missing",
        "An object that isn't there is refused as one that may not be read: large states, and checkpoints "
        "whose lenders were deleted, then can't be put",
        f"Allow s3:ListBucket on {case.config.bucket}; where it is (Ceph), without a condition for the "
        "prefix: iam_policy(whole_bucket=True)",
    )


def _reading(finding: str, case: Case, name: str, what: str, wanted: bytes) -> Finding:
    if error := case.error(name):
        return lacking(finding, error, case.objects)
    answer = case.answers.get(name)
    if answer is None:
        return untried(finding, "writes")
    if isinstance(answer, Body) and answer.data == wanted:
        return Finding(finding, "ok", f"{what} reads as it was written")
    got = f"{len(answer.data)} other bytes" if isinstance(answer, Body) else "that it isn't there"
    return Finding(
        finding,
        "missing",
        f"{what} was written just before, and the store answers with {got}",
        "Keep no checkpoints there before the store, or the proxy before it, answers right",
    )


def lists(case: Case) -> Finding:
    """Check that lists are up to date, in S3's order, begin where they are told to, and know folders."""
    error = case.error("list") or case.error("after")
    if isinstance(error, NotSupportedError):
        return Finding("lists", "missing", error.reason, _OTHER_STORE)
    folders = case.error("folders")
    if error := error or (None if isinstance(folders, NotSupportedError) else folders):
        return lacking("lists", error, case.config.bucket)
    there = case.listed
    found = [entry.key for entry in case.answers["list"] if entry.key in there]
    after = [entry.key for entry in case.answers["after"].entries if entry.key in there]
    if sorted(found) != there:
        problem = "The store doesn't list what was just written"
    elif found != there:
        problem = "The store lists keys in another order than S3 does"
    elif after != [key for key in there if key > case.copied]:
        problem = "The store doesn't begin a list where it is told to (StartAfter)"
    elif not there:
        return Finding("lists", "ok", "Lists are allowed; nothing could be written to be found there")
    elif not _knows_folders(case):
        return Finding(
            "lists",
            "warning",
            "The store doesn't list folders (Delimiter): threads() and the command line find no threads",
            "Name threads yourself: what is done with one of them works without",
        )
    else:
        return Finding("lists", "ok", "What was written is listed at once, in order, page by page")
    return Finding(
        "lists", "missing", f"{problem}: by that a saver finds the latest checkpoint", _OTHER_STORE
    )


def _knows_folders(case: Case) -> bool:
    page = case.answers["folders"]
    wanted = tuple(each for each in FOLDERS if any(each in key for key in case.listed))
    return isinstance(page, Page) and tuple(each[len(case.folder) :] for each in page.prefixes) == wanted


def copies(case: Case) -> Finding:
    """Whether the store copies objects by itself."""
    if error := case.error("copy"):
        return lacking(
            "copies",
            error,
            case.objects,
            otherwise="Do without copy_thread(), which needs it",
            more=_TAGGING if case.config.object_tags else "",
        )
    answer = case.answers.get("copy")
    if answer is None:
        return untried("copies", "writes")
    if isinstance(answer, Stored):
        return Finding("copies", "ok", "The store copies an object by itself")
    return Finding("copies", "missing", "The store doesn't find what was written just before", "See reads")


def deletes(case: Case) -> Finding:
    """Whether objects can be deleted, and whether all of the probe is gone."""
    answer = case.answers["delete"]
    if isinstance(answer, Failure):
        found = lacking("deletes", answer.error, case.objects)
    elif answer.failed:
        _, code, message = answer.failed[0]
        allow = f"Allow s3:DeleteObject on {case.objects}"
        remedy = allow if code == "AccessDenied" else "Check again; if it stays so, ask who runs the store"
        found = Finding("deletes", "missing", f"The store doesn't delete ({code} {message})", remedy)
    else:
        return Finding("deletes", "ok", f"Objects can be deleted{_versions_left(case)}")
    left = case.there("write") or case.there("copy") or case.there("complete")
    return replace(found, detail=f"{found.detail}; the probe stays in {case.folder}") if left else found


def _versions_left(case: Case) -> str:
    """What stays of the probe in a bucket that keeps versions, if anything does."""
    for name, action in (("versions", "s3:ListBucketVersions"), ("purge", "s3:DeleteObjectVersion")):
        answer = case.answers.get(name)
        if isinstance(answer, Failure) or (isinstance(answer, Deletion) and answer.failed):
            return f"; the probe's versions stay in {case.folder} ({action} removes them)"
    return ""


def multipart(case: Case) -> Finding:
    """Whether large objects can be written in parts."""
    for name in ("upload", "part", "complete"):
        if error := case.error(name):
            size = case.config.multipart_threshold
            otherwise = f"Set multipart_threshold (now {size:,} bytes) above the largest state, up to 5 GiB"
            return lacking("multipart", error, case.objects, otherwise=otherwise)
    if error := case.error("abort"):
        found = lacking("multipart", error, case.objects)
        return replace(found, detail=f"{found.detail}. An upload of {case.copied} may stay")
    return Finding("multipart", "ok", "An object can be uploaded in parts, and an upload aborted")


def conditional_writes(case: Case) -> Finding:
    """Whether `If-None-Match: *` is honoured, so that of two writes the first stays."""
    if error := case.error("again"):
        return lacking("conditional writes", error, case.objects)
    answer = case.answers.get("again")
    if answer is None:
        return untried("conditional writes", "writes")
    if isinstance(answer, PreconditionFailed):
        return Finding("conditional writes", "ok", "The store honours If-None-Match: the first write stays")
    versioning = case.answers[VERSIONING.name]
    versioned = isinstance(versioning, dict) and versioning.get("Status") == "Enabled"
    only = ". Some stores, such as Ceph, have it only without versioning" if versioned else ""
    return Finding(
        "conditional writes",
        "not supported",
        "The store doesn't honour If-None-Match: where two processes write the same task's results at once, "
        f"the last one wins, not the first{only}",
        _FEWER_PROCESSES,
    )


def conditional_uploads(case: Case) -> Finding:
    """Whether `If-None-Match: *` is honoured at the end of an upload too."""
    answer = case.answers.get("complete")
    if answer is None or isinstance(answer, Failure):
        return untried("conditional uploads", "multipart")
    if isinstance(answer, PreconditionFailed):
        return Finding("conditional uploads", "ok", "The store honours If-None-Match for uploads too")
    if not case.there("copy"):  # nothing was there that it could have refused to replace
        return untried("conditional uploads", "copies")
    size = case.config.multipart_threshold
    return Finding(
        "conditional uploads",
        "not supported",
        "The store doesn't honour If-None-Match for uploads: where two processes write the same task's "
        f"results at the same moment, {size:,} bytes or more of them, the last one wins",
        _FEWER_PROCESSES,
    )
