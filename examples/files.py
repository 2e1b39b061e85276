"""An agent that works on files in its state, as deep agents do, and what its thread takes in the bucket.

`python -m examples.files` takes its bucket from S3_BUCKET_NAME. The state holds a list of things to do and a
folder of files, among them a reference of 1 MB. LangGraph saves all of it at every step; S3Saver stores what
a step changed, and borrows the rest from earlier checkpoints. The same agent runs three times: as it is,
without borrowing, and with its files in a `DeltaChannel` (of LangGraph 1.2, in beta), with which LangGraph
itself saves but what was written. It prints what each stores and what it takes to read the thread in a new
process, and checks what it says.
"""

import random
import uuid
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.channels import DeltaChannel
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, ToolNode, tools_condition
from langgraph.types import Command
from typing_extensions import TypedDict

from examples.scripted_model import ScriptedModel, calls
from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.admin import S3Admin

Files: TypeAlias = dict[str, str]
REFERENCE: Final = "/reference.md"
REPORT: Final = "/report.md"


class Todo(TypedDict):
    content: str
    status: Literal["pending", "done"]


def merge(files: Files, changed: Files) -> Files:
    """Tools say which files they wrote; the others stay. So tools may write different files side by side."""
    return {**files, **changed}


def merge_all(files: Files, changes: Sequence[Files]) -> Files:
    """The same of many changes at once, as a `DeltaChannel` asks for."""
    return reduce(merge, changes, files)


class DeepState(MessagesState):
    todos: list[Todo]
    files: Annotated[Files, merge]


class DeltaState(MessagesState):
    todos: list[Todo]
    files: Annotated[Files, DeltaChannel(merge_all)]


State: TypeAlias = Annotated[dict[str, Any], InjectedState]
CallId: TypeAlias = Annotated[str, InjectedToolCallId]
Update: TypeAlias = Command[str]


def done(text: str, call: str, **update: Any) -> Update:
    return Command(update={**update, "messages": [ToolMessage(text, tool_call_id=call)]})


@tool
def write_todos(todos: list[Todo], call: CallId) -> Update:
    """Say what there is to do, and what is done."""
    return done(f"{len(todos)} things to do", call, todos=todos)


@tool
def read_file(path: str, first: int, state: State) -> str:
    """Read five lines of a file, from this one on."""
    return "\n".join(state["files"][path].splitlines()[first : first + 5])


@tool
def write_file(path: str, content: str, call: CallId) -> Update:
    """Write a file."""
    return done(f"wrote {path}", call, files={path: content})


@tool
def edit_file(path: str, old: str, new: str, state: State, call: CallId) -> Update:
    """Replace a text in a file."""
    text = state["files"][path]
    if text.count(old) != 1:
        return done(f"{old!r} isn't there once", call)
    return done(f"edited {path}", call, files={path: text.replace(old, new)})


TOOLS = [write_todos, read_file, write_file, edit_file]


def prose(sentences: int, seed: int) -> str:
    """Text that is no easier to compress than most."""
    chance = random.Random(seed)
    words = ["".join(chance.choices("aaeeiioubdfgklmnprstvz", k=chance.randint(2, 9))) for _ in range(3_000)]
    return "\n".join(" ".join(chance.choices(words, k=100)) + "." for _ in range(sentences))


def script(chapters: int) -> list[AIMessage]:
    """What the model does: plan, draft, and for each chapter look into the reference and fill it in."""
    plan: list[Todo] = [{"content": f"chapter {number}", "status": "pending"} for number in range(chapters)]
    draft = "\n\n".join(f"## Chapter {number}\n(to do {number})" for number in range(chapters))
    lines = [calls(("write_todos", {"todos": plan}), ("write_file", {"path": REPORT, "content": draft}))]
    for number in range(chapters):
        lines.append(calls(("read_file", {"path": REFERENCE, "first": number * 5})))
        edit = {"path": REPORT, "old": f"(to do {number})", "new": prose(2, seed=number + 1)}
        plan = [{**each, "status": "done"} if each is plan[number] else each for each in plan]
        lines.append(calls(("edit_file", edit), ("write_todos", {"todos": plan})))
    return [*lines, AIMessage("The report is in /report.md.")]


def builder(state: type[DeepState | DeltaState], chapters: int) -> StateGraph[Any, None, Any, Any]:
    model = ScriptedModel(script=script(chapters)).bind_tools(TOOLS)
    graph: StateGraph[Any, None, Any, Any] = StateGraph(state)
    graph.add_node("think", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("tools", ToolNode(TOOLS))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", tools_condition)
    graph.add_edge("tools", "think")
    return graph


class Outcome(NamedTuple):
    """How a run ended, and what its thread takes and costs to read."""

    files: Files
    checkpoints: int
    stored: int
    last: int
    requests: Mapping[str, int]


def run(state: type[DeepState | DeltaState], chapters: int, reference: str, **settings: Any) -> Outcome:
    thread = f"files-{uuid.uuid4().hex[:8]}"
    config: RunnableConfig = {"configurable": {"thread_id": thread}, "recursion_limit": 10_000}
    start = {"messages": [HumanMessage("Sum it up.")], "todos": [], "files": {REFERENCE: reference}}
    graph = builder(state, chapters)
    with S3Saver.from_env(**settings) as saver:
        graph.compile(checkpointer=saver).invoke(start, config)
        admin = S3Admin(saver)
        usage = admin.usage(thread)
        last = admin.checkpoint_sizes(thread)[0].bytes  # the newest is the first
    with S3Saver.from_env(**settings) as saver:  # a new process, as it were: its memory is empty
        files = graph.compile(checkpointer=saver).get_state(config).values["files"]
        requests = dict(saver.stats().requests)
    return Outcome(files, usage.checkpoints, usage.bytes, last, requests)


def tell(name: str, outcome: Outcome, whole: int) -> None:
    asked = ", ".join(f"{count} {operation}" for operation, count in sorted(outcome.requests.items()))
    size = f"{outcome.stored / 1e6:.1f} MB stored, {outcome.stored / whole:.1f} times the last state"
    print(f"{name}: {outcome.checkpoints} checkpoints, {size}; to read it anew: {asked}")


def main(chapters: int = 25, sentences: int = 1_600) -> None:
    reference = prose(sentences, seed=0)
    plain = run(DeepState, chapters, reference, borrow=False)
    borrowing = run(DeepState, chapters, reference)
    delta = run(DeltaState, chapters, reference)

    whole = plain.last  # without borrowing a checkpoint holds the whole state
    sizes = f"{len(reference) / 1e6:.1f} MB of reference, {chapters} edits"
    print(f"{sizes}; the last state: {whole / 1e6:.2f} MB compressed")
    tell("without borrowing", plain, whole)
    tell("borrowing", borrowing, whole)
    tell("a delta channel", delta, whole)

    assert plain.files == borrowing.files == delta.files
    assert plain.files[REFERENCE] == reference
    assert "(to do" not in plain.files[REPORT]
    assert plain.stored > 0.9 * plain.checkpoints * whole  # each step stores the whole state
    assert borrowing.stored < 5 * whole  # however many steps: the reference is there but three times
    assert delta.stored < 5 * whole
    assert delta.requests["GetObject"] > 5 * borrowing.requests["GetObject"]  # all writes are read again


if __name__ == "__main__":
    main()
