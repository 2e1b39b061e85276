"""Names of LangGraph's own channels, which states and writes have beside those of the graph."""

from __future__ import annotations

from typing import Final

_PREFIXES: Final = ("__", "branch:", "join:", "start:")


def is_reserved(name: str) -> bool:
    """Return whether a channel's name is LangGraph's own, and so isn't shown among the graph's."""
    return name.startswith(_PREFIXES)
