"""Guardrails: how soon their tripwires end a run, and what they say to the user.

A guardrail says why in the `message` of its `output_info`:

    GuardrailFunctionOutput(output_info={"message": "I only talk about orders."}, tripwire_triggered=True)

Works for guardrails of agents and of tools. Only a text under this name is shown, in a dict or as an attribute, as of
a pydantic model: what else stands in `output_info` is for developers.
"""

import asyncio

from agents import InputGuardrailTripwireTriggered, RunResultStreaming

from ..agent_context import Inbox, RunEnd

INTERVAL = 0.05
"""Seconds between two looks at guardrails that are not done yet."""


class Tripwires:
    """Ends a run at once when an input guardrail trips, which runs beside the model.

    The Agents SDK raises only when the model has said all it had to say (agents 0.24), and text that takes the short
    way would be shown until then.
    """

    def __init__(self, result: RunResultStreaming, inbox: Inbox, count: int) -> None:
        """`count`: how many input guardrails there are to wait for."""
        self._result = result
        self._inbox = inbox
        self._count = count
        self._timer: asyncio.TimerHandle | None = None
        self._look()

    def stop(self) -> None:
        """The run is over."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        done = self._result.input_guardrail_results
        tripped = next((one for one in done if one.output.tripwire_triggered), None)
        if tripped is not None:
            self._inbox.put_nowait(RunEnd(InputGuardrailTripwireTriggered(tripped)))
        elif len(done) < self._count:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._look)
