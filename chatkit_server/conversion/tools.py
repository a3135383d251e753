"""Tool calls: which tool asked the page for something."""

from datetime import UTC, datetime
from typing import Any

from chatkit.types import ClientToolCallItem, ThreadItemDoneEvent

from ..agent_context import AgentContext


class Tools:
    """The tool calls of a run."""

    def __init__(self, context: AgentContext) -> None:
        self._context = context
        self._calls: list[tuple[str, str]] = []

    def called(self, raw: Any) -> None:
        """The model calls a tool."""
        call = raw if isinstance(raw, dict) else {"name": getattr(raw, "name", None), "call_id": _call_id(raw)}
        if call.get("call_id"):
            self._calls.append((str(call.get("name")), str(call["call_id"])))

    def client_call(self) -> ThreadItemDoneEvent:
        """What the page is to do, under the call id of the tool that asked for it (T31, T32)."""
        call = self._context.client_tool_call
        assert call is not None
        ids = [call_id for name, call_id in self._calls if name == call.name]
        ids = ids or [call_id for _, call_id in self._calls] or [self._context.generate_id("tool_call")]
        item = ClientToolCallItem(
            id=self._context.generate_id("tool_call"),
            thread_id=self._context.thread.id,
            created_at=datetime.now(UTC),
            call_id=ids[-1],
            name=call.name,
            arguments=call.arguments,
        )
        return ThreadItemDoneEvent(item=item)


def _call_id(raw: Any) -> str | None:
    return getattr(raw, "call_id", None)
