"""Moves between storage classes as AWS describes them, and every combination that follows.

Supported moves: https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-transition-general-considerations.html
The days between two moves are those of S3's error, "'Days' in the 'Transition' action for StorageClass … must
be 90 days more than …": the minimum storage duration of the class that objects come from.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Final

ARCHIVES: Final = {"GLACIER", "DEEP_ARCHIVE"}
SUPPORTED: Final = {
    "STANDARD": {"STANDARD_IA", "INTELLIGENT_TIERING", "ONEZONE_IA", "GLACIER_IR", *ARCHIVES},
    "STANDARD_IA": {"INTELLIGENT_TIERING", "ONEZONE_IA", "GLACIER_IR", *ARCHIVES},
    "INTELLIGENT_TIERING": {"ONEZONE_IA", "GLACIER_IR", *ARCHIVES},
    "ONEZONE_IA": ARCHIVES,
    "GLACIER_IR": ARCHIVES,
    "GLACIER": {"DEEP_ARCHIVE"},
    "DEEP_ARCHIVE": set(),
}
STAYS: Final = {
    "STANDARD": 0,
    "STANDARD_IA": 30,
    "INTELLIGENT_TIERING": 0,
    "ONEZONE_IA": 30,
    "GLACIER_IR": 90,
    "GLACIER": 90,
}
"""Days in a class before the next move."""
FIRST: Final = {"STANDARD_IA": 30, "ONEZONE_IA": 30}
"""Days before the first move into a class."""
ORDER: Final = ("STANDARD_IA", "INTELLIGENT_TIERING", "ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE")


def chains() -> Iterator[dict[str, int]]:
    """Yield every chain of moves that S3 supports, each move as early as S3 allows."""
    for length in range(1, len(ORDER) + 1):
        for targets in combinations(ORDER, length):
            moves: dict[str, int] = {}
            source, at = "STANDARD", -1
            for target in targets:
                if target not in SUPPORTED[source]:
                    break
                at = max(at + max(STAYS[source], 1), FIRST.get(target, 0))
                moves[target] = at
                source = target
            else:
                yield moves
