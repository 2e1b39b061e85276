"""The package's public names, its imports and their times, and the shape of its files."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import langgraph_checkpoint_s3
from langgraph_checkpoint_s3 import memory, testing
from langgraph_checkpoint_s3.testing import faults, fixtures
from langgraph_checkpoint_s3.version import __version__

PACKAGE = "langgraph_checkpoint_s3"
ROOT = Path(langgraph_checkpoint_s3.__file__).parent
TESTS = Path(__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))


def test_the_exported_names_are_these() -> None:
    assert langgraph_checkpoint_s3.__all__ == [
        "AccessDeniedError",
        "BucketNotFoundError",
        "CheckpointArchivedError",
        "ConflictError",
        "CorruptObjectError",
        "DecryptionError",
        "InvalidConfigError",
        "InvalidKeyError",
        "Lease",
        "NotSupportedError",
        "S3CheckpointError",
        "S3Config",
        "S3Saver",
        "Stats",
        "StorageUnavailableError",
        "__version__",
    ]
    for name in langgraph_checkpoint_s3.__all__:
        assert getattr(langgraph_checkpoint_s3, name) is not None


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("langgraph.checkpoint.s3", ["S3Config", "S3Saver"]),
        ("langgraph.store.s3", ["S3Item", "S3Store"]),
        ("langgraph.cache.s3", ["S3Cache"]),
    ],
)
def test_langgraphs_packages_have_them_too(module: str, names: list[str]) -> None:
    there = importlib.import_module(module)
    assert there.__all__ == names
    for name in names:
        own = getattr(memory, name, None) or getattr(langgraph_checkpoint_s3, name)
        assert getattr(there, name) is own


def test_the_testing_kit_exports_these() -> None:
    assert testing.__all__ == ["FaultServer", "LocalS3", "ServerError", "local_s3"]
    assert faults.__all__ == [
        *("Answer", "BreakOff", "Fault", "Flip", "HangUp", "Hold", "Park", "Reply", "Schedule", "Seen"),
    ]
    assert fixtures.__all__ == ["s3_environment", "s3_fault_server", "s3_faults", "s3_saver", "s3_server"]
    for module in (testing, faults, fixtures):
        assert all(getattr(module, name) is not None for name in module.__all__)


def test_the_testing_kit_needs_pytest_for_its_fixtures_only() -> None:
    assert loaded_by(f"import {PACKAGE}.testing.faults", ("pytest",)) == set()


def test_the_version_is_the_installed_ones() -> None:
    assert langgraph_checkpoint_s3.__version__ == __version__
    try:
        installed = importlib.metadata.version("langgraph-checkpoint-s3")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package isn't installed here")
    assert installed == __version__


def test_the_package_is_typed() -> None:
    assert (ROOT / "py.typed").exists()


def name_of(path: Path) -> str:
    """A module's name below the package, such as `s3.boto`; empty for the package itself."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


@functools.cache
def imported(path: Path) -> frozenset[str]:
    """The modules of the package that a file imports, anywhere in it, named as `name_of` does."""
    return frozenset(find_imports(path))


def find_imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = ".".join([*above(path, node.level), *([node.module] if node.module else [])])
            found = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in found:
            if name == PACKAGE or name.startswith(f"{PACKAGE}."):
                below = name.removeprefix(PACKAGE).removeprefix(".")
                if below == "" or (ROOT / below.replace(".", "/")).is_dir() or is_module(below):
                    yield below


def above(path: Path, level: int) -> tuple[str, ...]:
    """The packages that a relative import of this level begins with."""
    packages = path.relative_to(ROOT.parent).parts[:-1]
    return packages[: len(packages) - level + 1] if level else ()


def is_module(below: str) -> bool:
    return (ROOT / below.replace(".", "/")).with_suffix(".py").exists()


PACKAGES = {"crypto", "encryption", "format", "plans", "s3", "text"}
REQUESTS = {"s3.requests", "s3.admin_requests", "s3.bucket_settings", "s3.driver"}
ALLOWED: dict[str, set[str]] = {
    "text": {"text"},
    "crypto": {"crypto", "errors", "fork_safety"},
    "format": {"crypto", "errors", "fork_safety", "format"},
    "plans": {"config", "crypto", "errors", "fork_safety", "format", "plans", *REQUESTS},
    "plans.parent_cache": {"format", "s3.cache"},
    "s3": {
        *("aws", "credentials", "errors", "config", "fork_safety", "format"),
        *("notebook", "request_timeout", "s3", "validation", "version"),
    },
    "aws": {"errors"},
    "aws_client": {"aws", "credentials", "errors", "fork_safety", "request_timeout"},
    "credentials": {"aws", "fork_safety"},
    "errors": set(),
    "fork_safety": set(),
    "request_timeout": {"fork_safety"},
    "version": set(),
    "config": {"errors", "format", "notebook", "validation"},
    "validation": {"errors", "format"},
    "admin plans": {
        *("admin", "config", "crypto", "errors", "format", "notebook", "plans", "text", *REQUESTS),
        *("memory.embedding", "memory.index", "memory.items", "memory.plans", "memory.shelf"),
    },
    "encryption": {"aws_client", "crypto", "encryption", "errors", "fork_safety", "format"},
    "lease": {"errors", "fork_safety", "format", "plans", "s3"},
    "memory": {"aws_client", "config", "crypto", "errors", "format", "memory", "plans", "s3", "saver"},
    "notebook": {"config", "s3.stats", "text"},
    "saver": {
        *("config", "crypto", "encryption", "errors", "fork_safety", "format", "lease", "notebook"),
        *("plans", "s3", "version"),
    },
}
"""The parts of the package that each package or module may import.

`plans.parent_cache` is the plans' only door to the cache, which holds things and knows no S3.
"""
OUTER = {"", "__main__", "_namespace", "admin", "cli", "deployment", "testing"}
"""Modules that may import everything."""
ADMIN_PLANS = re.compile(
    r"admin\.(?:calls|setting_changes)|admin\.(?:bucket|bulk|check|inventory|lifecycle|migration"
    r"|memories|retention|signed_urls|transfer|usage|versions)\.(?!api$|download$|dumps$)\w+"
)
"""The plans of the admin module, beside its public methods. Their I/O is in requests and calls alone."""


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    package = name_of(path).partition(".")[0]
    if ADMIN_PLANS.fullmatch(name_of(path)):
        package = "admin plans"
    if package in OUTER:
        return
    may = ALLOWED.get(name_of(path), ALLOWED[package])
    for name in imported(path):
        if name in PACKAGES or name == "":  # `from package.subpackage import module`: the module is checked
            continue
        assert any(name == allowed or name.startswith(f"{allowed}.") for allowed in may), (
            f"{name_of(path)} imports {name}"
        )
        if package == "admin plans" and name.startswith("admin."):
            assert name.count(".") == 1 or ADMIN_PLANS.fullmatch(name), f"{name_of(path)} imports {name}"


def test_packages_are_imported_by_their_modules() -> None:
    """`from package import plans` would slip through the rule above."""
    for path in MODULES:
        if name_of(path).startswith("cli."):  # test_the_command_line_uses_the_public_api checks these
            continue
        found = imported(path)
        for package in PACKAGES & found:
            assert any(name.startswith(f"{package}.") for name in found), (
                f"{name_of(path)} imports all of {package}"
            )


def test_only_the_outer_packages_import_the_saver() -> None:
    users = {name_of(path) for path in MODULES if "saver" in imported(path)}
    assert {name.partition(".")[0] for name in users} <= OUTER - {"testing"} | {"memory"}
    assert "" in users


PUBLIC = {"", "admin", "encryption", "memory", "testing"}
"""The packages that export the API."""


@pytest.mark.parametrize("path", sorted((ROOT / "cli").glob("*.py")), ids=name_of)
def test_the_command_line_uses_the_public_api(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[tuple[str, str]] = []
        if isinstance(node, ast.Import):
            names = [(each.name, "") for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(node.module or "", each.name) for each in node.names]
            assert node.level == 0
        for module, name in names:
            if module != PACKAGE and not module.startswith(f"{PACKAGE}."):
                continue
            below = module.removeprefix(PACKAGE).removeprefix(".")
            if below.partition(".")[0] not in {"cli", "text"}:
                assert below in PUBLIC, f"{name_of(path)} imports {module}"
                assert name in importlib.import_module(module).__all__, f"{name_of(path)} imports {name}"


def test_the_import_rules_see_imports() -> None:
    assert "s3.requests" in imported(ROOT / "plans" / "plan.py")
    assert {"plans", "plans.get_tuple"} <= imported(ROOT / "saver.py")
    assert "s3.translate" in imported(ROOT / "s3" / "sync_client.py")


LATE = (
    "boto3",
    "botocore.session",
    "botocore.client",
    "botocore.httpsession",
    "urllib3",
    "aiobotocore",
    "aiohttp",
    "langgraph.graph",
    "cryptography",
    "typer",
    "rich",
    "jinja2",
    "markdown_it",
    "opentelemetry",
)


def loaded_by(code: str, names: tuple[str, ...] = LATE) -> set[str]:
    """Return those of some modules that a fresh interpreter has loaded after this code."""
    [loaded] = loaded_after(code, names=names)
    return loaded


def loaded_after(*steps: str, names: tuple[str, ...] = LATE) -> list[set[str]]:
    """Return those of some modules that a fresh interpreter has loaded after each step."""
    show = f"import sys; print([name for name in {names!r} if name in sys.modules])"
    command = [sys.executable, "-c", "".join(f"{step}\n{show}\n" for step in steps)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT.parent)
    return [set(ast.literal_eval(line)) for line in ran.stdout.splitlines()]


def test_importing_the_package_loads_its_errors_only() -> None:
    shown = f"import sys; print([name for name in sys.modules if name.startswith('{PACKAGE}')])"
    for code, names in (
        (f"import {PACKAGE}", ["", ".version", ".errors"]),
        (f"from {PACKAGE} import ConflictError, __version__", ["", ".version", ".errors"]),
    ):
        command = [sys.executable, "-c", f"{code}; {shown}"]
        ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT.parent)
        assert set(ast.literal_eval(ran.stdout)) == {f"{PACKAGE}{name}" for name in names}
    assert loaded_by(f"import {PACKAGE}", (*LATE, "langgraph", "langchain_core")) == set()
    assert "langgraph" in loaded_by(f"import {PACKAGE}; {PACKAGE}.S3Saver", ("langgraph",))


def test_names_that_are_imported_on_first_use_are_listed() -> None:
    assert set(langgraph_checkpoint_s3.__all__) <= set(dir(langgraph_checkpoint_s3))
    assert loaded_by(f"from {PACKAGE} import *; assert S3Saver and Stats and Lease and S3Config", ()) == set()
    with pytest.raises(AttributeError, match="has no attribute 'S3Server'"):
        _ = langgraph_checkpoint_s3.S3Server  # type: ignore[attr-defined]  # type checkers see it, too


def test_importing_and_making_a_saver_loads_no_client() -> None:
    langgraphs_own = loaded_by("import langgraph.checkpoint.base, langgraph.checkpoint.serde.jsonplus")
    imported_, made, with_boto3 = loaded_after(
        f"from {PACKAGE} import S3Saver",
        "with S3Saver.from_conn_string('s3://bucket') as saver: saver.stats()",
        "import boto3",
    )
    assert imported_ <= langgraphs_own
    assert made <= langgraphs_own
    assert "boto3" in with_boto3


DATACLASSES = f"""
import dataclasses, sys
from {PACKAGE} import S3Saver
for name, module in sorted(sys.modules.items()):
    for each in vars(module).values() if name.startswith("{PACKAGE}.") else ():
        if dataclasses.is_dataclass(each) and each.__module__ == name:
            print(name.removeprefix("{PACKAGE}."), each.__name__)
"""


def test_a_saver_is_imported_with_few_dataclasses() -> None:
    """Each takes a third of a millisecond to make, which a named tuple does in a fifth of that."""
    ran = subprocess.run(
        [sys.executable, "-c", DATACLASSES], capture_output=True, text=True, check=True, cwd=ROOT.parent
    )
    found = [line.split(" ") for line in ran.stdout.splitlines()]
    outside = {name for module, name in found if module.partition(".")[0] not in ("s3", "plans")}
    # Public ones, and one that hides its values.
    assert outside == {"S3Config", "DataKey", "Task"}
    assert len(found) <= 35


RARE = (
    "admin",
    "encryption",
    "lease",
    "notebook",
    "plans.copy_thread",
    "plans.delta_history",
    "plans.lease",
    "plans.list_checkpoints",
    "plans.pins",
    "plans.setup",
    "s3.admin_translate",
    "s3.admin_requests",
    "s3.error_mapping",
    "s3.bucket_settings",
)
"""Modules that a process that only runs graphs doesn't load, unless something fails."""

A_TURN = f"""
import os
os.environ.update(AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")
from benchmarks.server import Server
from langgraph.checkpoint.base import empty_checkpoint
from {PACKAGE} import S3Saver
config = {{"configurable": {{"thread_id": "1", "checkpoint_ns": ""}}}}
with Server() as server, S3Saver("bucket", endpoint_url=server.endpoint_url, region="us-east-1") as saver:
    config = saver.put(config, empty_checkpoint(), {{"step": 1}}, {{}})
    saver.put_writes(config, [("channel", 1)], "task")
    assert saver.get_tuple(config).pending_writes
"""


def test_a_turn_loads_nothing_that_few_processes_use() -> None:
    names = tuple(f"{PACKAGE}.{name}" for name in RARE)
    assert all(is_module(name) or (ROOT / name.replace(".", "/")).is_dir() for name in RARE)
    turn, with_admin = loaded_after(A_TURN, f"import {PACKAGE}.admin", names=names)
    assert turn == set()
    assert with_admin >= {f"{PACKAGE}.s3.admin_requests"}


def test_a_module_says_what_it_is_for() -> None:
    for path in MODULES:
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert docstring, path
        assert docstring.partition("\n")[0].rstrip().endswith((".", "?", ":", "!", ",")), path


_INSIDE = re.compile(r"(?:saver|Saver\(.*\))\._(?!repr_html_)[a-z]")


def test_savers_are_looked_into_by_one_module_alone() -> None:
    for path in TESTS.rglob("*.py"):
        if path != TESTS / "support" / "inside.py":
            assert not _INSIDE.search(path.read_text(encoding="utf-8")), path
