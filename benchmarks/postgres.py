"""A temporary Postgres server, on the loopback address, that ends with this process.

Postgres must be installed (Debian's package `postgresql`).
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.environments import InstallError

USER: Final = "postgres"
_DEBIAN: Final = Path("/usr/lib/postgresql")


@functools.cache
def server() -> str:
    """Start the server on the first call.

    Returns:
        The connection string, without a database's name.

    Raises:
        InstallError: Postgres isn't installed here, or doesn't start.
    """
    programs = _programs()
    folder = tempfile.mkdtemp(prefix="benchmarks-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if _is_root():
        try:
            shutil.chown(folder, USER)  # Postgres doesn't run as root
        except LookupError as error:
            raise InstallError(f"there is no user {USER}, and Postgres doesn't run as root") from error
    data, log = f"{folder}/data", f"{folder}/log"
    _run([f"{programs}/initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync"], folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
    _run([f"{programs}/pg_ctl", "-D", data, "-l", log, "-o", options, "-w", "start"], folder)
    atexit.register(_run, [f"{programs}/pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], folder)
    return f"postgresql://{USER}@127.0.0.1:{port}"


def _programs() -> Path:
    """Return the folder of Postgres's programs. Debian keeps them off the path."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(_DEBIAN.glob("*/bin"))
    if not folders:
        raise InstallError("Postgres isn't installed here")
    return folders[-1]


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _run(argv: Sequence[str], folder: str) -> None:
    as_user: dict[str, Any] = {"user": USER, "group": USER, "extra_groups": []} if _is_root() else {}
    said = Path(folder) / "said"
    with said.open("wb") as file:  # not a pipe: the server would keep it open
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=folder, check=False, **as_user
        )
    if done.returncode:
        raise InstallError(f"{' '.join(argv)}:\n{said.read_text(errors='replace')}")
