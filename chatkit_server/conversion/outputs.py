"""Show outputs of an agent that are no text: those of its `output_type`, and final outputs that come from a tool."""

import logging
from collections.abc import Callable
from typing import Any

from agents import Agent, AgentOutputSchema, AgentOutputSchemaBase

from ..errors.log_format import redacted_traceback
from .readable import readable

logger = logging.getLogger(__name__)

OutputText = Callable[[Any], str | None]
"""Returns what a user reads of an output other than text; None or an empty text shows nothing."""


class Outputs:
    """Renders the outputs of one run. An error of the author's `output_text` leaves our own rendering."""

    def __init__(self, output_text: OutputText | None) -> None:
        self._output_text = output_text or readable

    def render(self, output: Any) -> str:
        """Return what the user reads of a final output."""
        if output is None or isinstance(output, str):
            return output or ""
        try:
            return self._output_text(output) or ""
        except (Exception, SystemExit) as error:
            logger.error("output_text failed; the output is shown without it\n%s", redacted_traceback(error))
            return readable(output)

    def renderer_of(self, agent: Agent[Any] | None) -> Callable[[str], str] | None:
        """Return a function from an answer's JSON to what the user reads, or None if the agent answers in text."""
        schema = _schema_of(agent)
        if schema is None:
            return None

        def render(text: str) -> str:
            try:
                output = schema.validate_json(text)
            except Exception:  # words beside a tool call, or JSON that ends the run with an error
                return "" if text.lstrip().startswith(("{", "[")) else text
            return self.render(output)

        return render


def answers_in_text(agent: Agent[Any]) -> bool:
    """Return whether the agent has no `output_type` other than text."""
    return _schema_of(agent) is None


def _schema_of(agent: Agent[Any] | None) -> AgentOutputSchemaBase | None:
    output_type = agent.output_type if agent is not None else None
    if output_type is None or output_type is str:
        return None
    if isinstance(output_type, AgentOutputSchemaBase):
        return None if output_type.is_plain_text() else output_type
    return AgentOutputSchema(output_type, strict_json_schema=False)
