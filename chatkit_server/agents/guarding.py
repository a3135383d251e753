"""Guardrails on what users say, for an agent that took over from the one that has them."""

from typing import Any

from agents import Agent


def guarded_as(agent: Agent[Any], configured: Agent[Any]) -> Agent[Any]:
    """A copy of `agent` with the input guardrails of the configured one, or the agent as it is where it has them.

    The Agents SDK looks at those of the agent that a run begins with only (agents 0.24). The author put them at the
    front door, and a conversation that was handed over does not come through it again.
    """
    own = agent.input_guardrails
    missing = [one for one in configured.input_guardrails if one not in own]
    return agent.clone(input_guardrails=[*own, *missing]) if missing else agent
