"""Findings, and the report that prints them as a table."""

from __future__ import annotations

import functools
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

from langgraph_checkpoint_s3.errors import (
    AccessDeniedError,
    InvalidConfigError,
    NotSupportedError,
    S3CheckpointError,
)

Status = Literal["ok", "missing", "not supported", "warning", "unknown"]
"""`missing`: a saver won't work without it. `not supported`: the store doesn't have it, and a saver works
without. `warning`: it works, and should be changed. `unknown`: it couldn't be found out."""

_WIDTH: Final = 100
_REMEDY: Final = "do: "
_COLOURS: Final = {
    "ok": "color:#1a7f45",
    "missing": "color:#d1242f;font-weight:bold",
    "warning": "color:#b57b00",
}
_NOT_TRIED: Final = "Not tried: see "


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one part of the check.

    Attributes:
        name: The part, such as `range reads`.
        status: `ok`, `missing`, `not supported`, `warning` or `unknown`.
        detail: The observation, in a sentence.
        remedy: The action to take; empty if none is needed.
    """

    name: str
    status: Status
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class CheckReport:
    """The findings of `check()`, those first that others depend on. It prints as a table.

        report = admin.check()
        print(report)
        report["conditional writes"].status     # "ok"
        [finding.remedy for finding in report if finding.status == "missing"]

    Attributes:
        place: The bucket and prefix, `s3://BUCKET/PREFIX`.
        findings: The findings.
    """

    place: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """True if a saver can work here: no finding is `missing`."""
        return all(finding.status != "missing" for finding in self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __getitem__(self, name: str) -> Finding:
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(f"{name!r} is none of {', '.join(finding.name for finding in self.findings)}")

    def __repr__(self) -> str:
        missing = ", ".join(finding.name for finding in self.findings if finding.status == "missing")
        return f"<{type(self).__name__} of {self.place}: {self._counts()}{missing and f' ({missing})'}>"

    def __str__(self) -> str:
        return self.render()

    def render(self, width: int = _WIDTH) -> str:
        """Return the report as text, in lines of at most `width` characters where its columns allow it."""
        status_width = max(len(status) for status in get_args(Status))
        name_width = max((len(finding.name) for finding in self.findings), default=0)
        verdict = "a saver can work here" if self.ok else "a saver can NOT work here"
        lines = [f"{self.place}: {verdict} ({self._counts()})", ""]
        margin = " " * (2 + status_width + 2 + name_width + 2)
        untried: dict[str, list[str]] = {}
        for finding in self.findings:
            if finding.detail.startswith(_NOT_TRIED):
                untried.setdefault(finding.detail, []).append(finding.name)
                continue
            shown = finding.status.upper() if finding.status == "missing" else finding.status
            start = f"  {shown:{status_width}}  {finding.name:{name_width}}  "
            lines += _wrapped(finding.detail, start, margin, width)
            if finding.remedy and finding.status != "ok":
                lines += _wrapped(finding.remedy, margin + _REMEDY, margin + " " * len(_REMEDY), width)
        for detail, names in untried.items():
            lines += _wrapped(
                f"{detail} ({', '.join(names)})", f"  {'unknown':{status_width}}  ", margin, width
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return the findings as a table, for notebooks."""
        from langgraph_checkpoint_s3.notebook import table

        verdict = "a saver can work here" if self.ok else "a saver can NOT work here"
        rows = [(each.name, each.status, each.detail, each.remedy) for each in self.findings]
        return table(f"{self.place}: {verdict} ({self._counts()})", rows, _COLOURS)

    def _counts(self) -> str:
        counts = Counter(finding.status for finding in self.findings)
        return ", ".join(f"{counts[status]} {status}" for status in get_args(Status) if counts[status])


def _wrapped(text: str, start: str, margin: str, width: int) -> list[str]:
    """Wrap text into lines, the first of which begins with `start`, and the others with `margin`."""
    return textwrap.wrap(
        " ".join(text.split()),
        max(width, len(margin) + 36),
        initial_indent=start,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [start.rstrip()]


# Findings, except for their names, which the check adds.
ok: Final = functools.partial(Finding, "", "ok")
missing: Final = functools.partial(Finding, "", "missing")
not_supported: Final = functools.partial(Finding, "", "not supported")
warning: Final = functools.partial(Finding, "", "warning")
unknown: Final = functools.partial(Finding, "", "unknown")


def lacking(error: S3CheckpointError, where: str, *, otherwise: str = "", more: str = "") -> Finding:
    """Return the finding for an operation of a saver that failed.

    `where` is the resource that permission is needed for, and `more` are further actions to allow.
    `otherwise` is the remedy if the store doesn't offer the operation; it is empty if a saver needs it.
    """
    if isinstance(error, AccessDeniedError) and error.action:
        return missing(error.reason, f"Allow {error.action}{more} on {where}")
    if isinstance(error, NotSupportedError) or getattr(error, "status", None) in (405, 501):
        if otherwise:
            return not_supported(error.reason, otherwise)
        return missing(error.reason, "Use a store that offers it: a saver can't do without")
    if isinstance(error, InvalidConfigError):
        return missing(error.reason, "Correct that setting of the saver")
    return missing(error.reason, "Check again; if it stays so, ask who runs the store")


def unseen(error: S3CheckpointError, where: str) -> Finding:
    """Return the finding for a setting that couldn't be read, which isn't `missing`."""
    if isinstance(error, AccessDeniedError) and error.action:
        return unknown("These credentials may not see it", f"Allow {error.action} on {where} to see it")
    if isinstance(error, NotSupportedError):
        return not_supported(error.reason)
    return unknown(error.reason, "Check again")


def untried(because: str) -> Finding:
    """Return the finding for an operation that wasn't tried because another one failed."""
    return unknown(f"{_NOT_TRIED}{because}")
