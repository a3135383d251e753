"""Agents written like OpenAI's ChatKit samples, on chatkit's own `AgentContext`. Run one with, for example,

    CHATKIT_AGENT=examples.weather:agent CHATKIT_MODEL=demo make dev

and write `call show_weather {"city": "Oslo"}` into the chat. docs/agents.md has a message for each.
"""
