"""Notice early that the process is asked to stop.

uvicorn (0.54) first waits for all open responses and only then ends the lifespan. Without this, running answers would
delay every restart until uvicorn's timeout, and would then end as if their client had disconnected.
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
    """Call `callback` in the event loop when the process receives SIGINT or SIGTERM, then the server's own handler.

    A SIGTERM after another signal is not passed to `callback`: a supervisor that signals the whole process group, and
    then the parent of `serve --workers`, both send one, and mean the same stop. A second SIGINT is a person who presses
    Ctrl+C again.

    Signals without a handler stay as they are. Does nothing outside the main thread, where Python has no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()  # not that of a request that runs when the signal arrives
    previous: dict[signal.Signals, Any] = {}
    is_stopping = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal is_stopping
        is_repeated, is_stopping = is_stopping and number == signal.SIGTERM, True
        if not loop.is_closed() and not is_repeated:
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
