"""`python -m tests.simulation --histories 1000`: many histories, and what they show by kind.

python -m tests.simulation --seed 7            one, and its trace if it shows something
python -m tests.simulation --first 1000 --histories 500 --kind "listed"
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict

from tests.simulation.bucket import BROKEN
from tests.simulation.history import play
from tests.simulation.schedule import SimulationError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--histories", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--kind", help="stop at the first of this kind, and tell all of it")
    parser.add_argument("--ignore", action="append", default=[], help="a kind to let pass")
    parser.add_argument("--broken", default="", choices=["", *BROKEN], help="what doesn't work")
    arguments = parser.parse_args()
    seeds = (
        range(arguments.first, arguments.first + arguments.histories)
        if arguments.seed is None
        else [arguments.seed]
    )
    found: dict[str, list[int]] = defaultdict(list)
    begun = time.perf_counter()
    for seed in seeds:
        try:
            history = play(seed, arguments.ignore, arguments.broken)
        except SimulationError as error:
            found[error.kind].append(seed)
            print(f"{seed}: {error.kind}", flush=True)
            if arguments.seed is not None or (arguments.kind and arguments.kind in error.kind):
                print(error)
                break
        else:
            if arguments.seed is not None:
                print(history.report())
    took = time.perf_counter() - begun
    print(f"{len(seeds)} histories in {took:.1f} s, {len(seeds) / took:.1f} a second")
    for kind, some in sorted(found.items(), key=lambda each: -len(each[1])):
        print(f"{len(some):6} {kind}: {', '.join(map(str, some[:8]))}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
