"""One part of `operations`, which prints a line of JSON for each figure."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from benchmarks.operations import PARTS, Scale
from benchmarks.served import Served


def main() -> None:
    """Measure and print."""
    part, scale = sys.argv[1], Scale(**json.loads(sys.argv[2]))
    with Served() as served:
        for each in PARTS[part](served, scale):
            print(json.dumps(asdict(each)), flush=True)


if __name__ == "__main__":
    main()
