"""From the settings to what applies to a request, and to what its user reads at a limit."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from chatkit_store import LimitReached as StoreLimitReached
from chatkit_store import TurnLimits

from ..context import RequestContext
from ..errors.http import LimitReached
from ..settings import Settings

ANONYMOUS = TurnLimits(
    threads_per_user=100,
    items_per_thread=1000,
    tokens_per_day=200_000,
    turns_per_minute=10,
    turns_per_minute_of_address=60,
    running_turns=3,
)
"""What anonymous visitors may do where CHATKIT_ALLOW_ANONYMOUS invites them and a setting is empty."""
ANONYMOUS_FILE_BYTES = 100 * 1024**2
UNTIL_ONE_ENDS = 5
"""Seconds after which another try makes sense where an answer must end first."""


class UserLimits:
    """The limits of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._invites_strangers = settings.allow_anonymous
        self._file_bytes = settings.file_bytes_per_user
        self._of_users = TurnLimits(
            threads_per_user=settings.threads_per_user,
            items_per_thread=settings.items_per_thread,
            tokens_per_day=settings.tokens_per_day,
            turns_per_minute=settings.turns_per_minute,
            turns_per_minute_of_address=settings.turns_per_minute_per_address,
            running_turns=settings.running_turns_per_user,
        )
        self._of_strangers = TurnLimits(**ANONYMOUS.in_use() | self._of_users.in_use())

    def of_turns(self, context: RequestContext) -> TurnLimits:
        """Return what limits the turns of the request's user, and of its chat session."""
        limits = self._of_strangers if self._is_stranger(context) else self._of_users
        if context.session is None or context.session.requests_per_minute is None:
            return limits
        return replace(limits, turns_per_minute_of_session=max(context.session.requests_per_minute, 1))

    def file_bytes(self, context: RequestContext) -> int | None:
        """Return how many bytes of files the user may have."""
        if self._file_bytes is None and self._is_stranger(context):
            return ANONYMOUS_FILE_BYTES
        return self._file_bytes

    def _is_stranger(self, context: RequestContext) -> bool:
        return self._invites_strangers and context.is_anonymous


def refusal_of(reached: StoreLimitReached) -> LimitReached:
    """Return the error for the client."""
    seconds = None if reached.until is None else _seconds_until(reached.until)
    text = TEXTS[reached.kind](reached.limit, "" if seconds is None else readable_seconds(seconds))
    return LimitReached(text, UNTIL_ONE_ENDS if reached.kind == "running_turns" else seconds)


def readable_seconds(seconds: int) -> str:
    """Return a time to wait in the largest unit that suits, rounded up."""
    for size, unit in ((3600, "hour"), (60, "minute")):
        if seconds > 2 * size:
            return f"{math.ceil(seconds / size)} {unit}s"
    return "1 second" if seconds == 1 else f"{seconds} seconds"


def _seconds_until(moment: datetime) -> int:
    return max(math.ceil((moment - datetime.now(UTC)).total_seconds()), 1)


def _rate(limit: int, wait: str) -> str:
    messages = "1 message" if limit == 1 else f"{limit} messages"
    return f"You may send {messages} a minute. You can send the next one in {wait}."


TEXTS: Mapping[str, Callable[[int, str], str]] = {
    "turns_per_minute": _rate,
    "turns_per_minute_of_session": _rate,
    "turns_per_minute_of_address": lambda limit, wait: (
        f"There are too many messages from your network. You can send the next one in {wait}."
    ),
    "tokens_per_day": lambda limit, wait: (
        f"You have used up what you may use on one day. You can continue at midnight UTC, in {wait}."
    ),
    "tokens_per_day_per_tenant": lambda limit, wait: (
        f"Your organization has used up what it may use on one day. You can continue at midnight UTC, in {wait}."
    ),
    "running_turns": lambda limit, wait: (
        "The assistant is still writing as many answers for you as it may at a time. "
        "Please wait for one to finish, or stop one."
    ),
    "threads_per_user": lambda limit, wait: (
        f"You may have {limit} conversations. Please delete one, and send the message again."
    ),
    "items_per_thread": lambda limit, wait: (
        f"This conversation is full: it may have {limit} entries. Please start a new one."
    ),
}
"""What the user reads, by the kind of limit; from the limit and the time to wait."""
