"""The state and text of a turn for plain clients, from the running turn or from the database."""

from datetime import datetime

from chatkit.store import NotFoundError
from chatkit.types import ThreadItem, UserMessageItem
from pydantic import BaseModel, Field

from chatkit_store import StoreError, TurnRecord, TurnStatus

from ..context import RequestContext
from ..errors.failures import failure_of_ended_turn
from ..errors.http import DatabaseUnavailable, ServerError
from ..services import Services
from ..turns.live_turn import LiveTurn
from .tokens import text_of
from .waiting import Waiting, load_waiting

EXAMPLE_ANSWER = {
    "turn_id": "turn_0123",
    "thread_id": "thr_0123",
    "user_item_id": "msg_0123",
    "item_ids": ["msg_0124"],
    "status": "completed",
    "stop_reason": None,
    "text": "42",
    "error": None,
    "waiting": [],
    "model": "gpt-5",
    "usage": {"input_tokens": 21, "output_tokens": 1},
    "started_at": "2026-11-25T12:00:00Z",
    "ended_at": "2026-11-25T12:00:01Z",
    "first_token_ms": 310,
    "duration_ms": 900,
}


class Failure(BaseModel):
    """Why an answer is missing or incomplete."""

    code: str
    message: str = Field(description="For users; says what to do next.")
    allow_retry: bool = Field(description="Whether sending the message again can help.")
    request_id: str = Field(description="The server's log has the cause under this id.")
    retry_after: int | None = Field(
        default=None, description="Seconds after which to send it again, as in the header `Retry-After`."
    )

    @classmethod
    def of(cls, error: ServerError, request_id: str) -> "Failure":
        """Return `error` in the form for clients."""
        return cls(
            code=error.code,
            message=error.message,
            allow_retry=error.allow_retry,
            request_id=request_id,
            retry_after=error.retry_after,
        )


class Usage(BaseModel):
    """Tokens as counted by the provider; null until the turn ends, or if the provider does not report them."""

    input_tokens: int | None = None
    output_tokens: int | None = None


class Answer(BaseModel):
    """A turn, running or ended."""

    turn_id: str
    thread_id: str
    user_item_id: str | None = Field(default=None, description="The message being answered.")
    item_ids: list[str] = Field(default=[], description="All items of the turn so far, including widgets.")
    status: TurnStatus
    stop_reason: str | None = Field(default=None, description="Why a turn was stopped, interrupted or cut short.")
    text: str = Field(default="", description="The assistant's text so far.")
    error: Failure | None = None
    waiting: list[Waiting] = Field(
        default=[],
        description="What the user or the page must answer before the agent continues: `POST /api/turns/{id}/answers`.",
    )
    model: str | None = None
    usage: Usage = Usage()
    started_at: datetime | None = None
    ended_at: datetime | None = None
    first_token_ms: int | None = None
    duration_ms: int | None = None


async def load_answer(turn_id: str, services: Services, context: RequestContext) -> Answer:
    """Return the current state of a turn. Raises `NotFoundError` if it is not the user's, or a `StoreError`."""
    turn = await services.turns.find(turn_id, context)  # before its row: a turn not found here has ended by then
    record = await services.turn_store.load(turn_id, context)
    if turn is not None and record.status == "running":
        answer = _answer(record, list(turn.items_so_far().values()))
        return answer.model_copy(update={"first_token_ms": turn.first_token_ms})
    items = await services.store.load_turn_items(record.thread_id, turn_id, context)
    waiting = await load_waiting(record, items, services, context)
    return _answer(record, items).model_copy(update={"waiting": waiting})


async def load_end(turn: LiveTurn, text: str, services: Services, context: RequestContext) -> Answer:
    """Return the answer of a turn whose log is closed.

    `text` is what was streamed, for a turn whose end could not be saved. Store errors become part of the answer: the
    reader of a stream must learn how it ended.
    """
    request_id = context.request_id
    failed = Answer(turn_id=turn.id, thread_id=turn.thread_id, status="failed", text=text)
    try:
        answer = await load_answer(turn.id, services, context)
    except NotFoundError:  # deleted with its thread
        return failed.model_copy(update={"status": "stopped", "stop_reason": "deleted"})
    except StoreError:
        return failed.model_copy(update={"error": Failure.of(DatabaseUnavailable(), request_id)})
    if answer.status == "running":
        update = {"status": "failed", "text": text, "error": Failure.of(DatabaseUnavailable(), request_id)}
        return answer.model_copy(update=update)
    return answer


def _answer(record: TurnRecord, items: list[ThreadItem]) -> Answer:
    return Answer(
        turn_id=record.id,
        thread_id=record.thread_id,
        user_item_id=record.user_item_id,
        item_ids=[item.id for item in items if not isinstance(item, UserMessageItem)],
        status=record.status,
        stop_reason=record.stop_reason or _cut(record),
        text=text_of(items),
        error=_failure(record),
        model=record.model,
        usage=Usage(input_tokens=record.input_tokens, output_tokens=record.output_tokens),
        started_at=record.started_at,
        ended_at=record.ended_at,
        first_token_ms=record.first_token_ms,
        duration_ms=record.duration_ms,
    )


def _cut(record: TurnRecord) -> str | None:
    """Return why a complete turn has an incomplete text: `length_limit` or `content_filter`."""
    return record.error_code if record.status == "completed" else None


def _failure(record: TurnRecord) -> Failure | None:
    error = failure_of_ended_turn(record.status, record.error_code)
    return None if error is None else Failure.of(error, record.request_id)
