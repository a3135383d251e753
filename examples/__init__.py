"""Agents as OpenAI's ChatKit samples write them: on chatkit's own `AgentContext`. Run one with, for example,

CHATKIT_AGENT=examples.weather:agent CHATKIT_MODEL=demo make dev

and write `call show_weather {"city": "Oslo"}` into the chat; docs/agents.md has such a message for each.
"""
