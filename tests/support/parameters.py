"""Parameters of a public function, the keywords of an unpacked `TypedDict` among them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

_UNPACKED = re.compile(r"Unpack\[(\w+)\]")


def parameters_of(function: Callable[..., Any]) -> list[str]:
    """Return the names of the parameters, without `self`."""
    found: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        unpacked = _UNPACKED.fullmatch(str(parameter.annotation))
        if unpacked:
            found += vars(inspect.getmodule(function))[unpacked[1]].__annotations__
        elif name != "self":
            found.append(name)
    return found
