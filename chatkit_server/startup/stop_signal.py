"""Learning early that the process is asked to stop.

uvicorn (0.54) first waits for all open answers and only then ends the lifespan: without this, a model that is still
speaking holds up every restart until the waiting is over, and then loses its connection like any client that left.
"""

import asyncio
import contextvars
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def on_stop_signal(callback: Callable[[], None]) -> Iterator[None]:
    """Calls `callback` in the event loop when the process gets SIGINT or SIGTERM; then the server's own handler.

    A signal that nobody handles stays as it is. Does nothing outside the main thread, which gets no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()  # a signal may arrive while the code of some request runs
    previous: dict[signal.Signals, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(callback, context=context)
        previous[signal.Signals(number)](number, frame)

    for number in SIGNALS:
        if callable(handler := signal.getsignal(number)):
            previous[number] = handler
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in previous.items():
            if signal.getsignal(number) is handle:
                signal.signal(number, handler)
