"""Ceph from Debian's packages, unpacked into the cache folder, with the system left as it is.

apt keeps its lists and downloads in the cache folder too, so neither root nor a lock is needed.
"""

from __future__ import annotations

import os
import platform
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .base import Unavailable, command, installed

PACKAGES = ("radosgw", "ceph-mon", "ceph-osd", "ceph-common")
# The `ceph` command imports modules built for the distribution's own Python, not for the tests'.
SYSTEM_PYTHON = "/usr/bin/python3"


@dataclass(frozen=True)
class Ceph:
    """An unpacked Ceph: where its programs, plugins and libraries are."""

    tree: Path

    @property
    def libraries(self) -> Path:
        """The folder of the machine's architecture, such as `usr/lib/x86_64-linux-gnu`."""
        return next(self.tree.glob("usr/lib/*/rados-classes")).parent

    def program(self, name: str) -> list[str]:
        """How to call one of Ceph's programs."""
        path = str(self.tree / "usr" / "bin" / name)
        return [SYSTEM_PYTHON, "-s", path] if name == "ceph" else [path]

    def environment(self, config: Path) -> dict[str, str]:
        """The environment that its programs need."""
        libraries = self.libraries
        paths = (libraries, libraries / "ceph", self.tree / "lib" / libraries.name)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        return kept | {
            "CEPH_CONF": str(config),
            "LD_LIBRARY_PATH": os.pathsep.join(map(str, paths)),
            "PYTHONPATH": str(self.tree / "usr" / "lib" / "python3" / "dist-packages"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LC_ALL": "C.UTF-8",
        }


def ceph() -> Ceph:
    """Ceph from the cache, downloaded and unpacked the first time."""
    for program in ("apt-get", "dpkg", SYSTEM_PYTHON):
        if shutil.which(program) is None:
            raise Unavailable(f"Ceph is taken from Debian's packages, and there is no {program} here")
    try:
        release = platform.freedesktop_os_release()
    except OSError as error:
        raise Unavailable("Ceph is taken from Debian's packages, and this is another system") from error
    # Libraries of one release don't fit the next one's, so an upgraded machine gets a new folder.
    name = f"ceph-{release.get('ID', 'linux')}-{release.get('VERSION_ID', 'testing')}-{platform.machine()}"
    return Ceph(installed(name, _install) / "tree")


def _install(folder: Path) -> None:
    for part in ("lists/partial", "archives/partial", "tree"):
        (folder / part).mkdir(parents=True)
    apt = ["apt-get", "-qq", "-y"]
    for option in (
        "Debug::NoLocking=1",
        f"Dir::State::lists={folder / 'lists'}",
        f"Dir::Cache={folder}",
        f"Dir::Cache::archives={folder / 'archives'}",
        # Otherwise root's apt downloads as `_apt`, who can't write here.
        "APT::Sandbox::User=",
        # What desktops hook in behind an update is about the system's lists, not these.
        "APT::Update::Post-Invoke-Success=",
    ):
        apt += ["-o", option]
    command([*apt, "update"])
    command([*apt, "--no-install-recommends", "--download-only", "install", *PACKAGES])
    archives = sorted((folder / "archives").glob("*.deb"))
    if not archives:
        raise Unavailable("apt downloaded nothing: are Ceph's packages installed on this machine already?")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda deb: command(["dpkg", "-x", str(deb), str(folder / "tree")]), archives))
    for part in ("lists", "archives", "pkgcache.bin", "srcpkgcache.bin"):
        path = folder / part
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
