"""Call an API at a bounded rate, and repeat calls that fail for a while, as long as the server asks to wait."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import openai

from ..errors.retry_after import seconds_to_wait
from ..loops import backoff

T = TypeVar("T")

ATTEMPTS = 8
"""Calls in all, for about two minutes of backoff."""
LONGEST_PAUSE = 60.0
NAMED = 5.0
"""Seconds from which a pause is reported."""
TEMPORARY = frozenset({408, 409, 425, 429})


class PoliteCalls:
    """Keeps a pause between two calls, and lets all calls wait when the source asks one to wait."""

    def __init__(self, per_minute: int, *, first_pause: float = 1.0, report: Callable[[str], None]) -> None:
        """`report` gets a sentence about each long pause."""
        self._interval = 60 / per_minute
        self._first_pause = first_pause
        self._report = report
        self._next_call = 0.0
        self._has_worked = False

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what the call returns. Raises its error if repeating does not help."""
        pauses = backoff(self._first_pause, LONGEST_PAUSE)
        for attempt in range(1, ATTEMPTS + 1):
            await self._wait()
            try:
                result = await call()
            except openai.APIError as error:
                if not self._is_worth_repeating(error, attempt):
                    raise
                self._pause(seconds_to_wait(error) or next(pauses), error)
            else:
                self._has_worked = True
                return result
        raise AssertionError("the last attempt returns or raises")

    async def _wait(self) -> None:
        """Wait until a call may start, and reserve the next one's time."""
        now = asyncio.get_running_loop().time
        while (seconds := self._next_call - now()) > 0:  # noqa: ASYNC110 - the source may ask another call to wait
            await asyncio.sleep(seconds)
        self._next_call = now() + self._interval

    def _pause(self, seconds: float, error: openai.APIError) -> None:
        until = asyncio.get_running_loop().time() + seconds
        if until > self._next_call:
            self._next_call = until
            if seconds >= NAMED:
                self._report(f"Waiting for {seconds:.0f} s: {describe(error)}")

    def _is_worth_repeating(self, error: openai.APIError, attempt: int) -> bool:
        if attempt == ATTEMPTS:
            return False
        if isinstance(error, openai.APIConnectionError):
            return self._has_worked or attempt == 1  # a wrong address should be reported soon
        return isinstance(error, openai.APIStatusError) and is_temporary(error.status_code)


def is_temporary(status: int) -> bool:
    """Return whether a request with this answer may work later."""
    return status in TEMPORARY or status >= 500


def describe(error: openai.APIError) -> str:
    """Return what went wrong, in words for a person who knows the address that was called."""
    if isinstance(error, openai.APITimeoutError):
        return "the server did not answer in time."
    if isinstance(error, openai.APIConnectionError):
        return f"the server cannot be reached ({error.__cause__ or error.message})."
    body = error.body if isinstance(error.body, dict) else {}
    message = body.get("message")
    status = f"status {error.status_code}" if isinstance(error, openai.APIStatusError) else "an unreadable answer"
    return f"the server answered {status}" + (f": {message}" if isinstance(message, str) and message else ".")
