"""The short way of a piece of text: from the model's tap into the turn's log, past the queue, the run's generators and
the turn's task. It is a third of what a token costs; all other events take the long way through `respond`.

It is taken only when nothing else is under way (`streaming.py`), so the order stays as it is, and only where the turn
reads `ChatServer.respond` itself: a subclass that overrides it, or an action that wraps it, sees every event.
"""

from collections.abc import Callable
from contextvars import ContextVar

TextSink = Callable[[str, int, str], None]
"""Takes an item's id, the index of its part and the text. Never waits."""

text_sink: ContextVar[TextSink | None] = ContextVar("text_sink", default=None)
"""Where the text of the turn goes whose task this is."""
