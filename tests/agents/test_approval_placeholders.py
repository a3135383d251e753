"""Which functions of an export are placeholders for the user's approval."""

import asyncio
from types import FunctionType
from typing import Any

import pytest

from chatkit_server.agents.approval_placeholders import approval_asker, fill_placeholders, is_placeholder


def approval_request(message: str):  # type: ignore[no-untyped-def]  # as exported
    # TODO: Implement
    return True


def approval_request1(message: str) -> bool:
    """Asks the user."""
    return False


async def ask_for_approval(text: str) -> None:
    pass


def user_approves(message: str) -> bool:
    return message == "yes"


def is_approved() -> bool:
    answer = input
    return bool(answer)


def guess(message: str) -> bool:
    return True


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (approval_request, True),
        (approval_request1, True),
        (ask_for_approval, True),
        (user_approves, False),
        (is_approved, False),
        (guess, False),
    ],
)
def test_only_a_function_without_a_body_is_a_placeholder(function: FunctionType, expected: bool) -> None:
    assert is_placeholder(function) is expected


async def test_a_filled_placeholder_asks_in_a_turn_and_is_as_written_elsewhere() -> None:
    names: dict[str, Any] = {
        "approval_request": approval_request,
        "ask_for_approval": ask_for_approval,
        "user_approves": user_approves,
    }
    assert fill_placeholders(names) == ["approval_request", "ask_for_approval"]
    assert fill_placeholders(names) == ["approval_request", "ask_for_approval"]  # again for another workflow
    assert names["user_approves"] is user_approves
    assert names["approval_request"]("Pay?") is True
    asked: list[str] = []

    def ask(message: str) -> bool:
        asked.append(message)
        return len(asked) > 1

    approval_asker.set(ask)
    assert names["approval_request"](message="Pay?") is False
    assert await asyncio.ensure_future(names["ask_for_approval"]("Ship?")) is True
    assert names["approval_request"](3) is True
    assert asked == ["Pay?", "Ship?", "3"]
