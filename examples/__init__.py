"""Agents as OpenAI's ChatKit samples write them: on chatkit's own `AgentContext`. Run one with, for example,

CHATKIT_AGENT=examples.weather:agent make dev
"""
