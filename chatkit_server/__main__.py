"""`python -m chatkit_server` is `chatkit-server`."""

from .cli import app

app()
