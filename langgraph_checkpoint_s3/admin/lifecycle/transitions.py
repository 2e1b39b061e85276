"""Moves of objects from one storage class to the next, as a lifecycle rule has them, and S3's rules for them.

Objects move in one direction only. How long they must stay in a class before the next move is the class's
minimum storage duration; S3 refuses a rule that moves them sooner. The order is in
https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-transition-general-considerations.html, the
durations in https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html#sc-compare.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Final

from langgraph_checkpoint_s3.admin.setting_changes import check_days
from langgraph_checkpoint_s3.errors import InvalidConfigError

TIERING: Final = "INTELLIGENT_TIERING"
CLASSES: Final = {
    "STANDARD_IA": 30,
    TIERING: 0,
    "ONEZONE_IA": 30,
    "GLACIER_IR": 90,
    "GLACIER": 90,
    "DEEP_ARCHIVE": 180,
}
"""Storage classes in the order in which objects move, each with the minimum number of days that S3 bills."""
OFFLINE: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects can't be read before they are restored."""
INFREQUENT: Final = frozenset({"STANDARD_IA", "ONEZONE_IA"})
_MIN_INFREQUENT_DAYS: Final = 30
_UNSUPPORTED: Final = frozenset({("ONEZONE_IA", "GLACIER_IR")})
_SMALL: Final = 128 * 1024


def in_order(moves: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return moves (the classes, each with its days) in S3's order."""
    found = dict(moves)
    return {name: found[name] for name in CLASSES if name in found}


def check_transitions(name: str, value: object) -> dict[str, int]:
    """Return a copy of an argument of several moves, in S3's order.

    Raises:
        InvalidConfigError: It isn't a mapping of storage classes to days.
    """
    if not isinstance(value, Mapping):
        raise InvalidConfigError(
            f"{name} must be a mapping of storage classes to days, such as {{'STANDARD_IA': 30}}, not "
            f"{type(value).__name__}."
        )
    for target, days in value.items():
        if target not in CLASSES:
            raise InvalidConfigError(f"{name}: {target!r} is none of {', '.join(CLASSES)}.")
        if days is None:
            raise InvalidConfigError(f"{name}: {target} has no days.")
        check_days(f"{name}[{target!r}]", days, 0)
    return in_order(value.items())


def check_moves(
    moves: Mapping[str, int], deletion: int | None, names: Mapping[str, str], deleted_by: str
) -> None:
    """Check that S3 accepts moves together.

    Args:
        moves: The moves, in S3's order.
        deletion: The days until the deletion of the same objects, if they are deleted.
        names: The setting of each move, for errors.
        deleted_by: The setting of the deletion, for errors.

    Raises:
        InvalidConfigError: S3 would refuse them. The message has the rule.
    """
    for target, days in moves.items():
        if target in INFREQUENT and days < _MIN_INFREQUENT_DAYS:
            raise InvalidConfigError(
                f"{names[target]}={days}: S3 moves nothing to {target} in its first "
                f"{_MIN_INFREQUENT_DAYS} days."
            )
        if deletion is not None and days >= deletion:
            raise InvalidConfigError(
                f"{names[target]}={days} isn't before {deleted_by}={deletion}: nothing would be left to "
                "archive."
            )
    for (source, earlier), (target, later) in pairwise(moves.items()):
        least = max(CLASSES[source], 1)
        if (source, target) in _UNSUPPORTED:
            raise InvalidConfigError(f"{names[target]}={later}: S3 moves nothing from {source} to {target}.")
        if later <= earlier:
            raise InvalidConfigError(
                f"{names[target]}={later} isn't after the move to {source}, {earlier} days: S3 moves objects "
                f"in the order {', '.join(CLASSES)} only."
            )
        if later - earlier < least:
            raise InvalidConfigError(
                f"{names[target]}={later}: S3 moves objects on from {source} after {least} days at least, "
                f"and they come there after {earlier}, so {earlier + least} is the least here."
            )


def move_warnings(moves: Mapping[str, int], deletion: int | None, size: int | None) -> Iterator[str]:
    """Return what moves do less, or cost more, than they look like.

    Args:
        moves: The moves, in S3's order.
        deletion: The days until the deletion of the same objects, if they are deleted.
        size: The size from which on objects move, if it is given.
    """
    names = " and ".join(moves)
    if moves and size is None:
        yield (
            f"S3 moves no object of less than 128 kB to {names}, and most checkpoints are smaller, so this "
            "may move little or nothing. minimum_object_size=… says from which size on objects move."
        )
    for target in moves if size is not None and size < _SMALL else ():
        price = "bills each object as at least 128 kB"
        if target in OFFLINE:
            price = "bills each object as 40 kB more than it has"
        elif target == TIERING:
            price = "bills objects of less than 128 kB as if they were used all the time"
        yield (
            f"minimum_object_size={size}: {target} {price}, and each move costs a request, so moving small "
            "objects may cost more than it saves."
        )
    if moves and deletion is not None:
        target, days = list(moves.items())[-1]
        stays, least = deletion - days, CLASSES[target]
        if stays < least:
            yield f"{target} is billed for {least} days at least, and objects are in it for {stays} only."
