"""Text that the reader of the model's socket has found goes to the turn's log at once, or waits for its place."""

from typing import Any

from chatkit_server.run.deadlines import SilenceWatch
from chatkit_server.run.stream import NO_DEADLINES, RunStream
from tests.conversion.conftest import Conversation
from tests.fast_path.test_fast_body import delta_event


async def test_text_waits_behind_what_is_ahead_of_it(conversation: Conversation) -> None:
    sent: list[tuple[str, int, str]] = []
    result: Any = None  # the run does not begin
    run = RunStream(
        conversation.context, result, None, lambda *text: sent.append(text), NO_DEADLINES, None, 0, output_text=None
    )
    run._watch = SilenceWatch(run._inbox, NO_DEADLINES)
    earlier = delta_event()
    run._is_idle = True
    run.listen_text(earlier, "a", 1)  # no item yet
    assert run._inbox.get_nowait().delta == "a"
    run._item_ids[0, 0] = "msg"
    run.listen_text(earlier, "b", 1)
    run.listen_text(earlier, "c", 2)
    assert sent == [("msg", 0, "b"), ("msg", 0, "c")]
    assert run._watch.event_count == 3
    run._inbox.put_nowait(object())
    run.listen_text(earlier, "d", 1)
    assert run._inbox.qsize() == 2
    run._inbox.get_nowait()
    assert run._inbox.get_nowait().delta == "d"
    run._is_idle = False  # an event is being converted
    run.listen_text(earlier, "e", 1)
    assert run._inbox.get_nowait().delta == "e"
    assert len(sent) == 2
    run._watch.stop()
