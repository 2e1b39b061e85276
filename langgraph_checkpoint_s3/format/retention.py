"""Retention classes: how long S3 keeps objects, as their keys and their tag say it.

A checkpoint's key names its class, and whether its thread was pinned when it was written. The tag
`langgraph-retention` is what lifecycle rules go by: it is the class, or `pinned`, for which there is no rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, NamedTuple

TAG: Final = "langgraph-retention"
"""The name of the tag."""
DEFAULT: Final = "default"
"""The class of threads that name none."""
PINNED: Final = "pinned"
"""The tag's value for objects of pinned threads."""
CLASS: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
"""Names of classes. A leaf has room for them, its other fields and a parent's UUID."""

MAX_DAYS: Final = 36_500
"""The limit of days in lifecycle rules, and of restored copies."""


class Life(NamedTuple):
    """Retention of a checkpoint: its class and its pin, as they were decided when it was written.

    A checkpoint borrows only from checkpoints of the same life. So nothing that is kept depends on something
    that goes earlier.

    Attributes:
        retention: The class; `None` without classes.
        pinned: Whether its thread was pinned.
    """

    retention: str | None = None
    pinned: bool = False

    @property
    def tag(self) -> str | None:
        """The tag's value; `None` without a tag."""
        return PINNED if self.pinned else self.retention


NO_LIFE: Final = Life()
"""The life of what is written without classes: no lifecycle rule of a class applies to it."""


def longest(names: Mapping[str, timedelta], *wanted: str | None) -> str | None:
    """Return the class that keeps for the longest time. A class without a setting has no rule, so it is that.

    Args:
        names: The classes with their times.
        wanted: The classes to choose from; `None` is none.
    """
    found = [name for name in wanted if name is not None]
    return max(found, key=lambda name: names.get(name, timedelta.max), default=None)
