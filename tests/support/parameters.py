"""Parameters of a public function, the keywords of an unpacked `TypedDict` among them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from langgraph_checkpoint_s3 import config

_UNPACKED = re.compile(r"Unpack\[(\w+)\]")


def parameters_of(function: Callable[..., Any]) -> list[str]:
    """Return the names of the parameters, without `self`."""
    found: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        unpacked = _UNPACKED.fullmatch(str(parameter.annotation))
        if unpacked:
            settings = vars(inspect.getmodule(function)).get(unpacked[1]) or vars(config)[unpacked[1]]
            found += settings.__annotations__
        elif name != "self":
            found.append(name)
    return found
