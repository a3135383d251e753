"""End a run as soon as an input guardrail trips.

The user reads the `message` of the guardrail's `output_info`:

    GuardrailFunctionOutput(output_info={"message": "I only talk about orders."}, tripwire_triggered=True)

This works for guardrails of agents and of tools. `output_info` may be a dict or an object, such as a pydantic model.
Only `message` is shown; everything else in `output_info` is for developers.
"""

import asyncio

from agents import InputGuardrailTripwireTriggered, RunResultStreaming

from ..agent_context import RunEnd
from ..fast_path.inbox import Inbox

INTERVAL = 0.05
"""Seconds between two checks while guardrails are still running."""


class TripwireWatch:
    """Ends a run when one of its input guardrails trips. They run in parallel with the model.

    The Agents SDK raises only after the model has finished (agents 0.24). Until then, text on the fast path would be
    shown.
    """

    def __init__(self, result: RunResultStreaming, inbox: Inbox, count: int) -> None:
        """`count` is the number of input guardrails to wait for."""
        self._result = result
        self._inbox = inbox
        self._count = count
        self._timer: asyncio.TimerHandle | None = None
        self._check()

    def stop(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        results = self._result.input_guardrail_results
        tripped = next((result for result in results if result.output.tripwire_triggered), None)
        if tripped is not None:
            self._inbox.put_nowait(RunEnd(InputGuardrailTripwireTriggered(tripped)))
        elif len(results) < self._count:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._check)
