"""A virtual environment for each peer, created on first use in a folder that git ignores."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
_CACHE: Final = ROOT / ".cache" / "benchmarks"
_SHOWN: Final = 800


class InstallError(Exception):
    """A peer's requirements can't be installed here."""


def python_for(requirements: Sequence[str]) -> Path:
    """Return a Python that has these requirements; the current one if there are none.

    Raises:
        InstallError: They can't be installed.
    """
    if not requirements:
        return Path(sys.executable)
    digest = hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()[:12]
    folder = _CACHE / digest
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    whole = folder / "installed"  # missing after an interrupted run
    if not whole.exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
        pip = [uv, "pip"] if uv else [str(python), "-m", "pip"]
        where = ["--python", str(python)] if uv else ["--disable-pip-version-check"]
        _run([*pip, "install", "--quiet", *where, *requirements])
        whole.write_text("\n".join(requirements))
    return python


def _run(argv: Sequence[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InstallError(f"{' '.join(argv)}:\n{(done.stderr or done.stdout)[-_SHOWN:]}")
