"""Run `chatkit-server` by `python -m chatkit_server`."""

from .cli import app

app()
