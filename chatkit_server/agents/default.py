"""The agent that answers if CHATKIT_AGENT is not set. Its tools show what the widget can do."""

from typing import Any

from agents import Agent, Tool

from ..interactions.actions import Actions
from . import preferences
from .clock import current_time

INSTRUCTIONS = """You are a helpful assistant in a chat.

Answer in the language of the user's last message. Come to the point first, then explain as far as it helps. Use
Markdown where structure helps: lists for steps, tables to compare, code blocks with a language for code.

You have tools. Use `current_time` for anything that depends on the date or the time of day; do not guess these. Use
`ask_preferences` when the user wants to tell you their time zone or their units, or to change them. When a tool
answers with "Error:", correct your input and try again, or say what is missing.

Say so when you do not know something. Never invent sources, links or results of tools."""

SHORT_INSTRUCTIONS = "You are a helpful assistant. Answer briefly and in plain words."
"""For models without tools, such as the small embedded one: long instructions would fill its context."""


def default_agent(tools: bool = True) -> Agent[Any]:
    """Return the default agent, which works with any context type; `tools=False` suits a model that cannot call any."""
    if not tools:
        return Agent(name="Assistant", instructions=SHORT_INSTRUCTIONS)
    default_tools: list[Tool] = [current_time, preferences.ask_preferences]
    return Agent(name="Assistant", instructions=INSTRUCTIONS, tools=default_tools)


def default_actions() -> Actions:
    """Return the handlers for the actions of the default agent's widgets."""
    return preferences.actions
