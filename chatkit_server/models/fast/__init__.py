"""Faster parts for the openai client, equal to its own; each falls back to it where a private part is gone."""
