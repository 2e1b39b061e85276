"""A wheel in a fresh environment: the command line, and names in LangGraph's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from langgraph_checkpoint_s3 import __version__

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
UV = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


def run(command: Sequence[object], home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("S3_", "AWS_", "PYTHON"))
    }
    given = {**kept, "HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config"), **environment}
    arguments = [str(each) for each in command]
    return subprocess.run(
        arguments, capture_output=True, text=True, env=given, cwd=home, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if UV is None:
        pytest.skip("uv isn't installed")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT], check=True)
    [made] = folder.glob("*.whl")
    return made


def installed(wheel: Path, folder: Path, extra: str) -> Path:
    """The folder of programs of a fresh environment."""
    uv = str(UV)
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, f"{wheel}{extra}"], check=True)
    return python.parent


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(wheel, tmp_path_factory.mktemp("with"), "[cli]")


def test_without_the_extra_it_says_what_to_install(wheel: Path, tmp_path: Path) -> None:
    there = installed(wheel, tmp_path, "")
    for command in ([there / "langgraph-s3", "threads"], [there / "python", "-m", "langgraph_checkpoint_s3"]):
        ran = run(command, tmp_path)
        assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (1, "", 1)
        assert 'pip install ".[cli]"' in ran.stderr


def test_both_ways_to_start_it(programs: Path, tmp_path: Path) -> None:
    for command in ([programs / "langgraph-s3"], [programs / "python", "-m", "langgraph_checkpoint_s3"]):
        assert run([*command, "--version"], tmp_path).stdout == f"{__version__}\n"
        ran = run([*command, "threads"], tmp_path)
        assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
        assert "--uri s3://" in ran.stderr


LANGGRAPHS_NAMES = """
from langgraph.cache.s3 import S3Cache
from langgraph.checkpoint.s3 import S3Saver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.store.s3 import S3Store
import langgraph.checkpoint.sqlite, os, tempfile
from langgraph_checkpoint_s3.testing import local_s3

builder = StateGraph(MessagesState)
builder.add_node("model", lambda state: {"messages": [("ai", "yes")]})
builder.add_edge(START, "model")
with tempfile.TemporaryDirectory() as folder, local_s3(folder) as server:
    os.environ.update(server.environment())
    with S3Saver("checkpoints") as saver:
        graph = builder.compile(saver, store=S3Store(saver=saver), cache=S3Cache(saver=saver))
        config = {"configurable": {"thread_id": "1"}}
        for _ in range(2):
            graph.invoke({"messages": [("user", "hello")]}, config)
        print(len(graph.get_state(config).values["messages"]))
"""


def test_beside_langgraph_it_has_the_names_that_its_own_savers_have(wheel: Path, tmp_path: Path) -> None:
    there = installed(wheel, tmp_path, "")
    more = ("langgraph", "langgraph-checkpoint-sqlite")
    subprocess.run([str(UV), "pip", "install", "--quiet", "--python", there / "python", *more], check=True)
    ran = run([there / "python", "-W", "error", "-c", LANGGRAPHS_NAMES], tmp_path)
    assert (ran.stdout, ran.stderr) == ("4\n", "")


BASH = """
source <(langgraph-s3 --show-completion bash)
function=$(complete -p langgraph-s3 | sed 's/.*-F \\([^ ]*\\).*/\\1/')
COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
$function langgraph-s3; echo "${{COMPREPLY[*]}}"
"""
FISH = """
source (langgraph-s3 --show-completion fish | psub)
complete -C "{words}" | cut -f 1
"""
# What `_arguments` is given has the descriptions, too: a name is what has no spaces.
ZSH = """
autoload -U compinit && compinit -u -D
source <(langgraph-s3 --show-completion zsh)
_arguments() {{ print -r -- "$@" | grep -oE '"[a-z-]+"' | tr -d '"' }}
words=({words}); CURRENT=$#words
$_comps[langgraph-s3]
"""


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_a_shell_completes_commands_options_and_roles(
        self, programs: Path, tmp_path: Path, shell: str
    ) -> None:
        if shutil.which(shell) is None:
            pytest.skip(f"{shell} isn't installed")
        script = {"bash": BASH, "zsh": ZSH, "fish": FISH}[shell]
        for words, expected in (
            ("langgraph-s3 res", {"resume-point", "restore"}),
            ("langgraph-s3 show --cha", {"--channel"}),
            ("langgraph-s3 iam-policy --role r", {"runtime", "read-only", "retention"}),
        ):
            path = f"{programs}{os.pathsep}{os.environ['PATH']}"
            ran = run([shell, "-c", script.format(words=words)], tmp_path, PATH=path)
            assert expected == set(ran.stdout.split()), (ran, words)

    @pytest.mark.parametrize(("shell", "file"), [("bash", ".bashrc"), ("zsh", ".zshrc"), ("fish", ".config")])
    def test_it_is_installed_into_a_shell(
        self, programs: Path, tmp_path: Path, shell: str, file: str
    ) -> None:
        if shutil.which(shell) is None:
            pytest.skip(f"{shell} isn't installed")
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        # `; true`: or the shell would become the program, which then had no shell to ask.
        ran = run([shell, "-c", "langgraph-s3 --install-completion; true"], tmp_path, PATH=path)
        assert f"{shell} completion installed" in ran.stdout, ran
        assert (tmp_path / file).exists()
