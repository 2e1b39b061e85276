"""The SDK without work that it does anew for each session, which hundreds of tests make."""

from __future__ import annotations

import inspect
from typing import Any

from botocore import endpoint_provider, hooks, loaders, session

# Their functions are replaced, which types don't allow.
_hooks: Any = hooks
_rules: Any = endpoint_provider
_session: Any = session


def make_sessions_quick() -> None:
    """Let sessions share what is the same for all of them: it takes half of the time to make a client."""
    _share_models()
    _share_rules()
    _share_names_of_events()
    _look_at_handlers_themselves()


def _share_models() -> None:
    """Parse a service's description once."""
    create, shared = _session.create_loader, loaders.create_loader()
    _session.create_loader = lambda search_path=None: create(search_path) if search_path else shared


def _share_rules() -> None:
    """Make objects of a service's rules for endpoints once; nothing changes them."""
    known: dict[tuple[int, int], tuple[Any, Any]] = {}
    make = _rules.RuleSet

    def made(**data: Any) -> Any:
        place = id(data["rules"]), id(data["partitions"])
        if place not in known:
            if len(known) == 20:
                known.clear()
            known[place] = data, make(**data)  # with the data, so that nothing else gets its place
        return known[place][1]

    _rules.RuleSet = made


def _share_names_of_events() -> None:
    """Look for another name of an event among the services once."""
    names: dict[str, str] = {}
    begin = _hooks.EventAliaser.__init__

    def begin_with_names(self: Any, emitter: Any, aliases: Any = None) -> None:
        begin(self, emitter, aliases)
        if self._event_aliases == hooks.EVENT_ALIASES:
            self._alias_name_cache = names

    _hooks.EventAliaser.__init__ = begin_with_names


def _look_at_handlers_themselves() -> None:
    """Ask a handler's code whether it takes keywords, without the rest of its signature."""
    look = _hooks.accepts_kwargs

    def accepts_keywords(function: Any) -> Any:
        code = getattr(getattr(function, "__func__", function), "__code__", None)
        return look(function) if code is None else bool(code.co_flags & inspect.CO_VARKEYWORDS)

    _hooks.accepts_kwargs = accepts_keywords
