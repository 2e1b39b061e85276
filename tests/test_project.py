"""The project's files agree: metadata, dependency groups, workflows, pre-commit, the published README."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = PYPROJECT["project"]
SOURCE: str = PROJECT["urls"]["Source"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in load(path)["jobs"].values() for step in job["steps"]]


def test_pre_commit_has_the_versions_of_the_dev_group() -> None:
    pinned = dict(each.split("==") for each in PYPROJECT["dependency-groups"]["dev"] if "==" in str(each))
    repositories = load(ROOT / ".pre-commit-config.yaml")["repos"]
    revisions = {each["repo"].rpartition("/")[2]: each.get("rev") for each in repositories}
    assert revisions.pop("ruff-pre-commit") == f"v{pinned.pop('ruff')}"
    assert revisions == {"local": None}  # mypy runs in the virtual environment
    assert pinned.keys() == {"mypy"}


def test_extras_are_for_users_and_groups_for_development() -> None:
    assert PROJECT["optional-dependencies"].keys() == {
        "aiobotocore",
        "cli",
        "crypto",
        "inventory",
        "otel",
        "search",
    }
    assert PYPROJECT["dependency-groups"].keys() == {"test", "dev", "docs", "fuzz"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_steps_of_the_ci_script(path: Path) -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    known = set(re.findall(r"^step (\w+) ", script, flags=re.MULTILINE))
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]
    for step in steps(path):
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])
        else:
            command, *names = step["run"].split()
            assert command == ".ci/run"
            assert set(names) <= known


def test_all_steps_of_the_ci_script_run_in_a_workflow() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    run = {name for path in WORKFLOWS for step in steps(path) for name in step.get("run", "").split()[1:]}
    assert run == set(re.findall(r"^step (\w+) ", script, flags=re.MULTILINE))


def test_workflows_test_each_supported_python() -> None:
    ci = load(ROOT / ".github" / "workflows" / "ci.yml")
    prefix = "Programming Language :: Python :: "
    supported = [each.removeprefix(prefix) for each in PROJECT["classifiers"] if each.startswith(prefix)]
    assert ci["jobs"]["test"]["strategy"]["matrix"]["python"] == supported


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_github_files_can_be_parsed(path: Path) -> None:
    assert isinstance(load(path), dict)


def test_addresses_begin_with_the_source_url() -> None:
    for url in PROJECT["urls"].values():
        assert url == SOURCE or url.startswith(f"{SOURCE}/")
    [link] = load(ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml")["contact_links"]
    assert link["url"].startswith(f"{SOURCE}/")


def test_links_of_the_published_readme_are_absolute() -> None:
    hook = PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    text = "".join((ROOT / each["path"]).read_text(encoding="utf-8") for each in hook["fragments"])
    relative = set(re.findall(r"\]\((?!\w+:|#)([^)\s#]+)", text))
    assert relative
    for each in hook["substitutions"]:
        text = re.sub(each["pattern"], each["replacement"], text)
    assert re.findall(r"\]\((?!\w+:|#)[^)]*\)", text) == []
    for path in relative:
        assert (ROOT / path).exists()
    raw = SOURCE.replace("github.com", "raw.githubusercontent.com")
    assert all(url.startswith(f"{raw}/main/") for url in re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text))
    assert text.count(f"]({SOURCE}/blob/main/") > 10


def test_sizes_are_in_one_system_of_units() -> None:
    """In kB, MB and GB of 1,000 bytes each. What is a power of two is written as one, or in bytes."""
    folders = ("docs/*.md", "examples/*.py", "langgraph_checkpoint_s3/**/*.py")
    texts = [path for pattern in folders for path in ROOT.glob(pattern)]
    assert len(texts) > 200
    others = re.compile(r"\b[KMGT]iB\b|\d ?(?:KB|kb|Kb|mb|gb)\b")
    for path in texts:
        assert not others.search(path.read_text(encoding="utf-8")), path


def test_each_exception_to_a_rule_has_its_reason() -> None:
    """Each comment that silences mypy or ruff is followed by the reason."""
    exception = re.compile(r"# (?:type: ignore\b(?:\[[\w, -]+\])?|noqa\b(?:: [A-Z0-9, ]+\b)?)")
    lines = [
        (path, line[found[-1].end() :])
        for folder in ("benchmarks", "docs", "examples", "langgraph_checkpoint_s3", "tests")
        for path in (ROOT / folder).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if (found := list(exception.finditer(line)))
    ]
    assert len(lines) > 200
    assert [(path, rest) for path, rest in lines if not re.match(r"  # \S| - \S", rest)] == []
