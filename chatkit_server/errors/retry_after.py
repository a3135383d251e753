"""Read how long a provider asks to wait before the next request."""

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Any

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_IN_TEXT = re.compile(r"(?:try again|retry) (?:in|after) (\d[\d.dhms]*)\s?(seconds?|minutes?|s\b)?", re.IGNORECASE)
_RESETS = ("requests", "tokens")
_EPOCH = 1_000_000_000
MIN_NAMED, MAX_NAMED = 5.0, 3600.0
"""Seconds; a shorter wait is a moment, and a longer one is not worth naming."""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait according to a response's headers, or None."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    if value := headers.get("retry-after"):
        seconds = _number(value)
        return seconds if seconds is not None else _until_date(value)
    for name in _RESETS:  # OpenAI, Azure: only the limit that is used up counts
        if _number(headers.get(f"x-ratelimit-remaining-{name}")) == 0:
            return _reset(headers.get(f"x-ratelimit-reset-{name}"))
    return _reset(headers.get("x-ratelimit-reset") or headers.get("ratelimit-reset"))


def seconds_to_wait(error: Exception) -> float | None:
    """Return the seconds that a provider asks to wait in its response or in the text of its error, or None."""
    response: Any = getattr(error, "response", None)
    if response is not None and (seconds := retry_after(response.headers)) is not None:
        return seconds
    match = _IN_TEXT.search(str(getattr(error, "message", "")))
    if match is None:
        return None
    number, unit = match.groups()
    seconds = _number(number)
    if seconds is None:
        return _duration(number)
    return seconds * 60 if unit and unit.startswith("minute") else seconds


def wait_in_words(seconds: float | None) -> str | None:
    """Return a wait for users, or None if it is unknown, a moment, or too long to be worth naming."""
    if seconds is None or not MIN_NAMED <= seconds <= MAX_NAMED:
        return None
    return f"{ceil(seconds)} seconds" if seconds <= 90 else f"{ceil(seconds / 60)} minutes"


def _reset(value: str | None) -> float | None:
    """Return the seconds until a reset, which is a duration or a time."""
    seconds = _number(value)
    if seconds is None:
        return _duration(value or "")
    if seconds > _EPOCH * 1000:
        seconds /= 1000
    return max(0.0, seconds - time.time()) if seconds > _EPOCH else seconds


def _duration(text: str) -> float | None:
    """Return the seconds in a text such as `6m12.5s` or `250ms`."""
    match = _DURATION.fullmatch(text.strip().rstrip("."))
    if match is None or not any(match.groups()):
        return None
    factors = (86400.0, 3600.0, 60.0, 1.0, 0.001)
    return sum(float(part) * factor for part, factor in zip(match.groups(), factors, strict=True) if part)


def _until_date(value: str) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
