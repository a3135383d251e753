"""Read a turn as plain tokens, then how it ended."""

import json
from collections.abc import AsyncGenerator

from ..context import RequestContext
from ..events.frames import serialize
from ..services import Services
from ..turns.live_turn import LiveTurn, Reader
from .answers import Answer, load_answer, load_end
from .sending import EndedTurn
from .tokens import Json, Tokens


class TokenStream:
    """One reading of a turn. Consume `pieces` first, then call `answer`."""

    def __init__(self, turn: LiveTurn | EndedTurn, reader: Reader, services: Services, context: RequestContext) -> None:
        self._turn = turn
        self._reader = reader
        self._services = services
        self._context = context
        self._tokens = Tokens()
        self._error: str | None = None

    async def pieces(self) -> AsyncGenerator[list[Json]]:
        """Yield batches of `{"token": text}` and `{"reset": true}`; an empty batch every `ping_seconds` of silence.

        Ends with the turn, or when the reader is gone or cut.
        """
        if isinstance(self._turn, EndedTurn):
            text = (await self.answer()).text
            yield [{"token": text}] if text else []
            return
        async for events in read_events(self._turn, self._reader, self._services):
            pieces = [piece for event in events for piece in self._take(event)]
            if pieces or not events:
                yield pieces

    async def answer(self) -> Answer:
        """Return how the turn ended."""
        if isinstance(self._turn, EndedTurn):
            return await load_answer(self._turn.id, self._services, self._context)
        answer = await load_end(self._turn, self._tokens.text, self._services, self._context)
        if answer.error is not None and self._error is not None:  # the agent may have raised its own text
            answer.error.message = self._error.removesuffix(f" (request {answer.error.request_id})")
        return answer

    def _take(self, event: Json) -> list[Json]:
        if event["type"] == "error":
            self._error = event.get("message")
        return self._tokens.take(event)


def ending(answer: Answer) -> list[Json]:
    """Return the last messages of a stream: the error, if any, and `{"done": true, ...}`."""
    fields = answer.model_dump(mode="json", exclude={"text", "error"})
    error = [] if answer.error is None else [{"error": answer.error.model_dump()}]
    return [*error, {"done": True, **fields}]


async def read_events(turn: LiveTurn, reader: Reader, services: Services) -> AsyncGenerator[list[Json]]:
    """Yield the turn's events as JSON: a snapshot, then new ones; an empty list every `ping_seconds` of silence."""
    events = turn.snapshot()
    with turn.log.subscribe(turn.log.last, services.pace) as news:
        yield [json.loads(serialize(event)) for event in events]
        while not reader.is_gone and not reader.is_cut:
            if news.has_frames():
                if not turn.may_send():
                    await turn.confirm()
                    continue
                yield _events_in(await news.read())
            elif turn.log.closed:
                return
            elif news.needs_ping():
                news.has_sent()
                yield []
            else:
                await news.changed()


def _events_in(frames: bytes) -> list[Json]:
    return [json.loads(line[6:]) for line in frames.split(b"\n") if line.startswith(b"data: ")]
