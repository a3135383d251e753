"""The loops that run as long as the server does."""

import asyncio

import pytest

from chatkit_server.loops import background


async def test_a_loop_that_ends_with_an_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def crash() -> None:
        raise RuntimeError("broken")

    async with background("listener", crash):
        await asyncio.sleep(0.01)
    (record,) = caplog.records
    assert record.message.startswith("the background loop 'listener' ended with an error\n")
    assert "RuntimeError" in record.message


async def test_the_end_of_its_block_cancels_a_loop_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    async with background("listener", asyncio.Event().wait):  # type: ignore[arg-type]  # waits without end
        await asyncio.sleep(0)
    assert not caplog.records
