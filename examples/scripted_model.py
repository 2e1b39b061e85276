"""A chat model that follows a script, so that the examples run without a network or an API key.

It picks its next line by counting what it has said since the person last spoke. All it knows is in the
messages, as with a real model behind an API, so a conversation can go on in another process.
To use a real model, replace it by `langchain.chat_models.init_chat_model("…")` and keep the rest.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool


class ScriptedModel(BaseChatModel):
    """Says `script[n]` as its n-th message since the last human one."""

    script: list[AIMessage]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._line(messages).model_copy())])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        """The same line word by word, where somebody listens (`stream_mode="messages"`)."""
        line = self._line(messages)
        for word in str(line.content).split(" ") if line.content else []:
            yield ChatGenerationChunk(message=AIMessageChunk(content=f"{word} "))
        yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_calls=line.tool_calls))

    def _line(self, messages: list[BaseMessage]) -> AIMessage:
        said = 0
        for message in messages:
            said = 0 if message.type == "human" else said + (message.type == "ai")
        return self.script[said]

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[Any, AIMessage]:
        """Take note of the tools, as a real model would; the script knows them already."""
        return self


def calls(*requests: tuple[str, dict[str, Any]]) -> AIMessage:
    """A line of the script that calls tools: `calls(("weather", {"city": "Lisbon"}), …)`."""
    named = [tool_call(name=name, args=args, id=f"call-{name}") for name, args in requests]
    return AIMessage(content="", tool_calls=named)
