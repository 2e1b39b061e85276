"""The documents say what is so: their code runs, their tables name the settings, their paths exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer
from opentelemetry import trace
from opentelemetry.util._once import Once

from langgraph_checkpoint_s3 import S3Config, S3Saver
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.s3 import telemetry
from tests.support.checkpoints import put_chain

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), flags=re.MULTILINE | re.DOTALL)


ADMIN = ROOT / "docs" / "admin.md"
CODE = [
    pytest.param(code, id=f"{path.name}-{number}")
    for path in DOCUMENTS
    if path != ADMIN  # whose blocks go on from one another
    for number, code in enumerate(blocks(path, "python"))
]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A store that AWS's own variables lead to, and a folder to write into."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.chdir(tmp_path)
        # What sets the process's provider sets it for itself alone. The savers' tracer remembers it.
        monkeypatch.setattr(telemetry, "_instruments", None)
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
        monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
        yield
    finally:
        server.stop()


@pytest.fixture
def in_use(store: None) -> None:
    """Its bucket, with a thread in it: some blocks are about what there is already."""
    with S3Saver("my-bucket", prefix="agents/") as saver:
        saver.setup()
        put_chain(saver, "customer-7", 2)


@pytest.mark.parametrize("code", CODE)
@pytest.mark.usefixtures("in_use")
def test_code_runs(code: str) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(code, "document", "exec"), names)
    saver = names.get("saver")
    if saver is not None:
        stored = saver.get_tuple(names["config"])  # type: ignore[attr-defined]
        assert len(stored.checkpoint["channel_values"]["messages"]) == 4
        saver.close()  # type: ignore[attr-defined]


@pytest.mark.usefixtures("store")
def test_the_admins_tasks_run_one_after_the_other() -> None:
    with S3Saver("my-bucket", prefix="agents/") as saver:
        saver.setup()
        ids = put_chain(saver, "customer-42", 3)
        names: dict[str, object] = {
            "__name__": "__main__",
            "saver": saver,
            "admin": S3Admin(saver),
            "checkpoint_id": ids[-1],
        }
        code = blocks(ADMIN, "python")
        assert len(code) > 10
        for number, block in enumerate(code, start=1):
            exec(compile(block, f"block {number} of {ADMIN.name}", "exec"), names)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_json_is_json_and_links_lead_somewhere(path: Path) -> None:
    for code in blocks(path, "json"):
        json.loads(code)
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_readme_names_every_setting() -> None:
    table = (ROOT / "README.md").read_text()
    missing = [setting.name for setting in fields(S3Config) if f"`{setting.name}`" not in table]
    assert not missing


def test_readme_shows_code_early() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert lines.index("```", lines.index("```python")) <= 31


def test_the_readmes_policy_is_what_a_running_agent_needs() -> None:
    [shown] = [json.loads(code) for code in blocks(ROOT / "README.md", "json")]
    admin = S3Admin(S3Config(bucket="my-bucket", prefix="agents/"))
    assert allowed(shown) == allowed(admin.iam_policy(("runtime",)))


def allowed(policy: dict[str, Any]) -> set[tuple[str, str, str]]:
    """What a policy allows, however it is split into statements: action, resource and condition."""
    return {
        (action, statement["Resource"], json.dumps(statement.get("Condition")))
        for statement in policy["Statement"]
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
