"""One saver on one workload, in a process and an environment of its own, for `runs`.

After each phase it prints a line of JSON, and waits for a line: meanwhile `runs` reads the server's counters.
"""

from __future__ import annotations

import functools
import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from benchmarks.savers import SAVERS, versions_of
from benchmarks.workloads import WORKLOADS, Task

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver


def main() -> None:
    """Run the task, then read its last state with a new saver."""
    task = Task(**json.loads(sys.argv[1]))
    of = SAVERS[task.saver]
    saver = of.make(task.endpoint_url, task.bucket)
    calls = count_calls(type(saver))
    state = WORKLOADS[task.workload](saver, task)
    _report(calls=calls, state_bytes=serialized(saver, state), versions=versions_of(of))
    found = of.make(task.endpoint_url, task.bucket).get_tuple(task.config)
    values = found.checkpoint["channel_values"] if found else {}
    _report(same=all(values.get(name) == value for name, value in state.items()))


def count_calls(kind: type[BaseCheckpointSaver[Any]]) -> Counter[str]:
    """Count calls of the methods that write, from now on."""
    calls: Counter[str] = Counter()
    for name in ("put", "put_writes"):
        method = getattr(kind, name)

        @functools.wraps(method)
        def counted(*args: Any, _name: str = name, _method: Any = method, **keywords: Any) -> Any:
            calls[_name] += 1
            return _method(*args, **keywords)

        setattr(kind, name, counted)
    return calls


def serialized(saver: BaseCheckpointSaver[Any], state: dict[str, Any]) -> int:
    """Return the serialized size of a state, in bytes."""
    return sum(len(saver.serde.dumps_typed(value)[1]) for value in state.values())


def _report(**figures: Any) -> None:
    print(json.dumps(figures), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
