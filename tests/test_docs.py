"""The documents say what is so: code runs, tables name the settings, links lead somewhere."""

from __future__ import annotations

import ast
import base64
import functools
import inspect
import json
import os
import re
import shlex
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import boto3
import pytest
import typer
import yaml
from opentelemetry import trace
from opentelemetry.util._once import Once
from typer.core import TyperGroup

from langgraph_checkpoint_s3 import S3CheckpointError, S3Config, S3Saver
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.cli.app import app
from langgraph_checkpoint_s3.plans.delete import THREADS_AT_ONCE
from langgraph_checkpoint_s3.s3 import telemetry
from tests.servers import running
from tests.support.checkpoints import put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "langgraph_checkpoint_s3"
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def blocks(path: Path, language: str) -> list[str]:
    """A document's blocks of a language; those within a list are indented."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(code) for _, code in found]


ADMIN = sorted((ROOT / "docs" / "admin").glob("*.md"))
MEMORY = ROOT / "docs" / "memory.md"
LOCALSTACK = ROOT / "docs" / "localstack.md"
CODE = [
    pytest.param(code, id=f"{path.name}-{number}")
    for path in DOCUMENTS
    # Blocks that go on from one another have tests of their own.
    if path not in (*ADMIN, MEMORY, LOCALSTACK)
    for number, code in enumerate(blocks(path, "python"))
]


def test_pruning_handles_as_many_threads_at_a_time_as_is_said() -> None:
    page = (ROOT / "docs" / "admin" / "pruning.md").read_text()
    for told in (page, inspect.getdoc(S3Admin.prune_older_than) or ""):
        assert set(re.findall(r"threads(?: are pruned)?,? (\d+) at a time", told, re.IGNORECASE)) == {
            str(THREADS_AT_ONCE)
        }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server for all of the documents' blocks."""
    with running("moto", tmp_path_factory.mktemp("moto")) as server:
        yield server.endpoint_url


@pytest.fixture(scope="module")
def client(server: str) -> Iterator[S3Client]:
    client = boto3.session.Session().client(
        "s3",
        region_name="us-east-1",
        endpoint_url=server,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    yield client
    client.close()


@pytest.fixture
def store(server: str, client: S3Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A store that AWS's own variables lead to, and a folder to write into."""
    with mock.patch.dict(os.environ):  # some blocks set variables
        monkeypatch.setenv("AWS_ENDPOINT_URL", server)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("LANGGRAPH_S3_KEYS", f"2026-11:{base64.b64encode(bytes(32)).decode()}")
        monkeypatch.chdir(tmp_path)
        # What sets the process's provider sets it for itself alone. The savers' tracer remembers it.
        monkeypatch.setattr(telemetry, "_instruments", None)
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
        monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
        yield
    # All of moto's servers in a process share what is stored: so no more than this is taken away.
    if "my-bucket" in {each["Name"] for each in client.list_buckets()["Buckets"]}:
        found = client.list_object_versions(Bucket="my-bucket")
        for each in (*found.get("Versions", ()), *found.get("DeleteMarkers", ())):
            client.delete_object(Bucket="my-bucket", Key=each["Key"], VersionId=each["VersionId"])
        client.delete_bucket(Bucket="my-bucket")


@functools.cache
def thread() -> dict[str, bytes]:
    """Return the objects of a thread."""
    fake = FakeS3()
    put_chain(make_saver(fake, prefix="agents/"), "customer-7", 2)
    return {key: found.data for key, found in fake.objects.items()}


@pytest.fixture
def in_use(store: None, client: S3Client) -> None:
    """A bucket that holds a thread already, which some blocks need."""
    client.create_bucket(Bucket="my-bucket")
    for key, data in thread().items():
        client.put_object(Bucket="my-bucket", Key=key, Body=data)


@pytest.mark.parametrize("code", CODE)
@pytest.mark.usefixtures("in_use")
def test_code_runs(code: str) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(code, "document", "exec"), names)
    saver = names.get("saver")
    if saver is not None:
        stored = saver.get_tuple(names["config"])  # type: ignore[attr-defined]  # an S3Saver
        assert len(stored.checkpoint["channel_values"]["messages"]) == 4
        saver.close()  # type: ignore[attr-defined]  # an S3Saver


@pytest.mark.parametrize("path", ADMIN, ids=lambda path: path.stem)
@pytest.mark.usefixtures("store")
def test_a_guides_tasks_run_one_after_the_other(path: Path) -> None:
    with S3Saver("my-bucket", prefix="agents/") as saver:
        saver.setup()
        ids = put_chain(saver, "customer-42", 3)
        names: dict[str, object] = {
            "__name__": "__main__",
            "saver": saver,
            "admin": S3Admin(saver),
            "checkpoint_id": ids[-1],
        }
        for number, block in enumerate(blocks(path, "python"), start=1):
            exec(compile(block, f"block {number} of {path.name}", "exec"), names)


def test_most_guides_have_code() -> None:
    code = [len(blocks(path, "python")) for path in ADMIN]
    assert sum(code) > 10
    assert code.count(0) <= 1  # the inventory's: a report is made by AWS alone


@pytest.mark.usefixtures("store")
def test_the_readmes_first_code_remembers(capsys: pytest.CaptureFixture[str]) -> None:
    code = compile(blocks(ROOT / "README.md", "python")[0], "README.md", "exec")
    for count in (4, 8):
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(code, names)
        names["checkpointer"].close()
        printed = capsys.readouterr().out.splitlines()
        assert len(printed) == count
        assert printed[1::2] == ["ai: You first said 'hello'"] * (count // 2)


@pytest.mark.usefixtures("in_use")
def test_memory_tasks_run_one_after_the_other() -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, block in enumerate(blocks(MEMORY, "python"), start=1):
        exec(compile(block, f"block {number} of {MEMORY.name}", "exec"), names)
    assert (names["best"].key, names["item"].value["text"]) == ("diet", "Ada eats no meat")
    names["saver"].close()


def test_what_only_aws_has_is_called_as_it_is_there() -> None:
    calls = [
        node
        for path in ADMIN
        for code in blocks(path, "text")
        if "admin." in code
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("admin.")
    ]
    assert len(calls) > 3
    for call in calls:
        assert isinstance(call.func, ast.Attribute)
        given = {each.arg or "**": None for each in call.keywords}
        inspect.signature(getattr(S3Admin, call.func.attr)).bind(None, *call.args, **given)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_data_can_be_read_and_links_lead_somewhere(path: Path) -> None:
    for code in blocks(path, "json"):
        json.loads(code)
    for code in blocks(path, "yaml"):
        assert yaml.safe_load(code)
    for target, _, heading in re.findall(r"\]\((?!\w+:)([^)#\s]*)(#([^)\s]+))?\)", without_code(path)):
        document = (path.parent / target).resolve() if target else path
        assert document.exists(), target
        assert not heading or heading in headings(document), f"{target}#{heading}"


def without_code(path: Path) -> str:
    return re.sub(r"^( *)```.*?^\1```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def headings(path: Path) -> set[str]:
    """Return the anchors of a document's headings, as on GitHub and on the site."""
    found = re.findall(r"^#+ (.*)$", without_code(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in found}


def test_all_of_the_blocks_are_of_a_kind_that_is_checked() -> None:
    kinds = {
        kind
        for path in DOCUMENTS
        for kind in re.findall(r"^ *```(\w*)\n.*?^ *```$", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    }
    # `console` is tests/cli/document.py's; `text`, and what names no language, are no code.
    assert kinds <= {"python", "bash", "json", "yaml", "console", "text", ""}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_are_such_as_there_are(path: Path) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    project = (ROOT / "pyproject.toml").read_text()
    for code in blocks(path, "bash"):
        subprocess.run(["bash", "-n"], input=code, text=True, check=True)
        for line in code.splitlines():
            words = shlex.split(line, comments=True)
            match words:
                case ["langgraph-s3", *arguments] if arguments != ["--help"]:
                    name, command, rest = group.resolve_command(typer.Context(group), arguments)
                    assert command is not None
                    command.make_context(name, rest).close()
                case ["make", target, *_]:
                    assert target in targets
                case ["python", "-m", module, *_]:
                    assert list(ROOT.glob(f"{module.replace('.', '/')}.py")) or (ROOT / module).is_dir()
                case ["pip", "install", what, *_] if what.startswith(".["):
                    for extra in what[2:-1].split(","):
                        assert f"\n{extra} = [" in project, extra


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "docs/design.md", "SECURITY.md"])
def test_named_files_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    named = set(re.findall(r"`((?:[\w.]+/)+(?:\w+\.py)?)`", text))
    assert named
    missing = [name for name in named if not any((each / name).exists() for each in (ROOT, PACKAGE))]
    assert not missing


def test_the_configuration_page_names_every_setting() -> None:
    table = (ROOT / "docs" / "configuration.md").read_text()
    missing = [setting.name for setting in fields(S3Config) if f"`{setting.name}`" not in table]
    assert not missing
    assert "](docs/configuration.md)" in (ROOT / "README.md").read_text()


def test_readme_shows_code_early() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert lines.index("```python") <= 20


def test_the_runbook_has_each_error() -> None:
    runbook = (ROOT / "docs" / "operations.md").read_text().partition("\n### By error\n")[2]
    rows = runbook.partition("\n### ")[0]
    for error in S3CheckpointError.__subclasses__():
        assert f"`{error.__name__}`" in rows or not error.__module__.endswith(".errors")
        assert f"`{error.kind}`" in rows or not error.__module__.endswith(".errors")


def test_the_shown_policy_is_what_a_running_agent_needs() -> None:
    [shown] = [json.loads(code) for code in blocks(ROOT / "docs" / "operations.md", "json")]
    admin = S3Admin(S3Config(bucket="my-bucket", prefix="agents/"))
    assert allowed(shown) == allowed(admin.iam_policy(("runtime",)))


def allowed(policy: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Return a policy's permissions as action, resource and condition, independent of its statements."""
    return {
        (action, statement["Resource"], json.dumps(statement.get("Condition")))
        for statement in policy["Statement"]
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
