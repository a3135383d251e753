"""docs/agent-context.md as it is written: an agent with its own context, from its file to a streamed answer."""

from pathlib import Path

import pytest

from tests.workers.processes import Nursery
from tests.workers.walk import Walk, streamed_text


async def test_an_agent_with_its_own_context(warm: Nursery, tmp_path: Path) -> None:
    walk = Walk(warm, tmp_path, "docs/agent-context.md")
    try:
        examined, plan, refund = await walk.run()
    finally:
        await walk.close()
    shown = walk.text.split("```\n")
    (report,) = [block for block in shown if block.startswith("ok     agent")]
    assert report in examined
    assert "answered: free" in streamed_text(plan)
    assert "Order 17 of a free customer is refunded." in streamed_text(refund)
    for words in ("`free`", "`Order 17 of a free customer is refunded.`"):
        assert words in walk.text


async def test_doctor_says_what_is_missing(warm: Nursery, tmp_path: Path) -> None:
    walk = Walk(warm, tmp_path, "docs/agent-context.md")
    module = tmp_path / "support.py"
    module.write_text(module.read_text(encoding="utf-8").replace("def context(", "def other("), encoding="utf-8")
    with pytest.raises(AssertionError, match=r"and 4 more\) expects Customer as its context, and gets AgentContext"):
        await walk.run()
    assert "`The agent Support (and 4 more) expects Customer as its context, and gets AgentContext`" in walk.text
