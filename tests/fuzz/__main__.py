"""Fuzzes one target, or all of them one behind the other, for a bounded time.

    python -m tests.fuzz                       every target, 60 s each
    python -m tests.fuzz --seconds 600 object  one of them

Needs atheris (group `fuzz`). A finding ends the target and leaves its input in `.fuzz/`; the exit status
is 1 then. Memory is bounded: what takes more than 1 GiB for an input of at most 64 KiB is a finding.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

FOUND = Path(".fuzz")
TARGETS = ("object", "header", "key", "uri", "portable")


def main() -> int:
    """Run the targets, each in a process of its own: libFuzzer ends the one it runs in."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", default=[], metavar="|".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.here:
        fuzz(asked.targets[0], asked.seconds)
    failed = []
    for target in asked.targets or TARGETS:
        if target not in TARGETS:
            parser.error(f"there is no target {target!r}; there are {', '.join(TARGETS)}")
        command = [sys.executable, "-m", "tests.fuzz", "--here", "--seconds", str(asked.seconds), target]
        print(f"{target}: {asked.seconds} s", flush=True)
        if subprocess.run(command, check=False).returncode:
            failed.append(target)
    print(f"findings in {', '.join(failed)}: see {FOUND}/" if failed else "no findings", flush=True)
    return 1 if failed else 0


def fuzz(target: str, seconds: int) -> None:
    """Fuzz a target in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["langgraph_checkpoint_s3"]):
        from tests.support import hostile

    fake = hostile.stored()
    objects = list(hostile.mutations(fake).values())

    def header(data: bytes) -> None:
        """Take the bytes for choices, and change real headers by them."""
        given = atheris.FuzzedDataProvider(data)
        fields, body = objects[given.ConsumeIntInRange(0, len(objects) - 1)]
        junk = [hostile.DOUBLE, hostile.DROP, *hostile.JUNK]
        while given.remaining_bytes() > 8:
            way = [given.ConsumeIntInRange(0, 12) for _ in range(given.ConsumeIntInRange(1, 5))]
            choice = given.ConsumeIntInRange(0, len(junk))
            value = junk[choice] if choice < len(junk) else given.ConsumeInt(8)
            fields = hostile.changed(fields, way, value)
        if given.ConsumeBool():
            fields = hostile.mend(fields, body)
        data = hostile.assembled(fields, body, packed=given.ConsumeBool())
        hostile.read_object(data, str(fields.get("id")) if isinstance(fields, dict) else "1")

    def raw_object(data: bytes) -> None:
        """Take the bytes for an object, and for a header, whose CRC is made to fit."""
        hostile.read_object(data)
        hostile.read_object(hostile.assembled(data[8:], data[:8]))
        hostile.read_object(hostile.assembled(data, b"", packed=True))

    def key(data: bytes) -> None:
        hostile.read_key(data.decode("utf-8", "replace"))
        hostile.read_key(hostile.LAYOUT.thread("t") + data.decode("latin-1"))

    targets: dict[str, Callable[[bytes], None]] = {
        "object": raw_object,
        "header": header,
        "key": key,
        "uri": lambda data: hostile.read_uri(data.decode("utf-8", "replace")),
        "portable": hostile.read_portable,
    }
    seeds = FOUND / "seeds" / target
    seeds.mkdir(parents=True, exist_ok=True)
    given = {
        "object": [each.data for each in fake.objects.values()],
        "portable": [hostile.portable(), *(each.data for each in fake.objects.values())],
        "key": [each.encode() for each in fake.objects],
        "uri": [b"bucket/prefix?region=eu-west-1&tag.a=b&cache_bytes=5&read_timeout=1.5"],
    }
    for number, seed in enumerate(given.get(target, [])):
        (seeds / f"{number}").write_bytes(seed)
    arguments = [
        f"-max_total_time={seconds}",
        "-max_len=65536",
        "-rss_limit_mb=1024",
        "-timeout=10",
        f"-artifact_prefix={FOUND}/{target}-",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *arguments, str(seeds)], targets[target])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
