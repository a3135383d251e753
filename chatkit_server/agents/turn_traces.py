"""Keep `trace(...)` and `Runner.run` of an author's code from uploading traces of turns that allow none.

The Agents SDK uploads all traces unless a run's own configuration says otherwise, and `trace("name")` has none (0.24).
Its trace provider is one for the process, so ours asks a ContextVar. Traces outside of turns are nobody's business
here: they may be those of an app that includes the server.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from agents.tracing import Span, Trace, TracingProcessor, set_trace_provider
from agents.tracing.config import TracingConfig
from agents.tracing.provider import TraceProvider
from agents.tracing.setup import get_trace_provider
from agents.tracing.span_data import SpanData
from pydantic import SecretStr

allows_traces: ContextVar[bool] = ContextVar("allows_traces", default=True)
"""Whether the turn of the current task allows traces."""
_key: ContextVar[str | None] = ContextVar("traces_key", default=None)


def begin_traces(*, allowed: bool, key: SecretStr | None) -> None:
    """Let the turn of the current task record traces, or none, for the account of an OpenAI key.

    The Agents SDK's own key is one for the process, and its apps may have different ones.
    """
    allows_traces.set(allowed)
    _key.set(key.get_secret_value() if allowed and key is not None else None)


class TurnTraceProvider(TraceProvider):
    """Makes traces with the provider that was there before, or none in a turn that allows none."""

    def __init__(self, other: TraceProvider) -> None:
        self.other = other

    def create_trace(
        self,
        name: str,
        trace_id: str | None = None,
        group_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        disabled: bool = False,
        tracing: TracingConfig | None = None,
    ) -> Trace:
        """Create a trace, which records nothing unless the turn allows it."""
        disabled = disabled or not allows_traces.get()
        if (key := _key.get()) is not None:
            tracing = {"api_key": key, **(tracing or {})}
        return self.other.create_trace(name, trace_id, group_id, metadata, disabled, tracing)

    def create_span(
        self,
        span_data: SpanData,
        span_id: str | None = None,
        parent: Trace | Span[Any] | None = None,
        disabled: bool = False,
    ) -> Span[Any]:
        """Create a span, which records nothing unless the turn allows it, also below a trace from elsewhere."""
        return self.other.create_span(span_data, span_id, parent, disabled or not allows_traces.get())

    def register_processor(self, processor: TracingProcessor) -> None:
        """As `TraceProvider.register_processor`."""
        self.other.register_processor(processor)

    def set_processors(self, processors: list[TracingProcessor]) -> None:
        """As `TraceProvider.set_processors`."""
        self.other.set_processors(processors)

    def get_current_trace(self) -> Trace | None:
        """As `TraceProvider.get_current_trace`."""
        return self.other.get_current_trace()

    def get_current_span(self) -> Span[Any] | None:
        """As `TraceProvider.get_current_span`."""
        return self.other.get_current_span()

    def set_disabled(self, disabled: bool) -> None:
        """As `TraceProvider.set_disabled`."""
        self.other.set_disabled(disabled)

    def time_iso(self) -> str:
        """As `TraceProvider.time_iso`."""
        return self.other.time_iso()

    def gen_trace_id(self) -> str:
        """As `TraceProvider.gen_trace_id`."""
        return self.other.gen_trace_id()

    def gen_span_id(self) -> str:
        """As `TraceProvider.gen_span_id`."""
        return self.other.gen_span_id()

    def gen_group_id(self) -> str:
        """As `TraceProvider.gen_group_id`."""
        return self.other.gen_group_id()

    def force_flush(self) -> None:
        """As `TraceProvider.force_flush`."""
        self.other.force_flush()

    def shutdown(self) -> None:
        """As `TraceProvider.shutdown`."""
        self.other.shutdown()


_users = 0
"""How many apps of the process need the provider."""


@contextmanager
def installed_turn_traces() -> Iterator[None]:
    """Install the provider in the block. Blocks of several apps may overlap in any order: the last one removes it."""
    global _users
    _users += 1
    if not isinstance(get_trace_provider(), TurnTraceProvider):
        set_trace_provider(TurnTraceProvider(get_trace_provider()))
    try:
        yield
    finally:
        _users -= 1
        if not _users and isinstance(provider := get_trace_provider(), TurnTraceProvider):
            set_trace_provider(provider.other)
