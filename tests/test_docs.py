"""The documents say what is so: their code runs, their tables name the settings, their paths exist."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from langgraph_checkpoint_s3 import S3Config

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), flags=re.MULTILINE | re.DOTALL)


CODE = [
    pytest.param(code, id=f"{path.name}-{number}")
    for path in DOCUMENTS
    for number, code in enumerate(blocks(path, "python"))
]


@pytest.mark.parametrize("code", CODE)
def test_code_runs(code: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.chdir(tmp_path)
        names: dict[str, object] = {"__name__": "__main__"}
        exec(compile(code, "document", "exec"), names)
        saver = names.get("saver")
        if saver is not None:
            stored = saver.get_tuple(names["config"])  # type: ignore[attr-defined]
            assert len(stored.checkpoint["channel_values"]["messages"]) == 4
            saver.close()  # type: ignore[attr-defined]
    finally:
        server.stop()


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
