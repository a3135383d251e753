"""Name threads: first by the first words of the message, then by a title that a model writes during the answer."""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from agents import ModelProvider
from chatkit.store import NotFoundError
from chatkit.types import Page, Thread, ThreadItem, ThreadStreamEvent, ThreadUpdatedEvent, UserMessageItem

from chatkit_store import SqlStore, plain_text

from ..agent_context import AgentContext, OutsideEvent
from ..context import RequestContext
from ..errors.failures import to_turn_failure
from ..errors.model_problem import place_of
from ..fast_path.inbox import Inbox
from ..models import Models
from ..models.one_shot import ask_once
from ..models.usage import last_url
from ..settings import Settings

logger = logging.getLogger(__name__)

MAX_LENGTH = 60
"""Characters of a title."""
MIN_CUT = 20
"""A title is cut at a word if that leaves at least this many characters."""
MAX_REPLY = 120
"""A longer reply, in characters, is an answer to the message and not a title."""
MAX_MESSAGE = 2000
"""Characters of the message that the model reads."""
ATTEMPTS = 2
"""User messages of a thread that may start a title: if the model fails on the first, the second retries."""
GRACE_SECONDS = 2.0
"""How long a complete answer waits for its title."""

INSTRUCTIONS = (
    "Name the conversation that begins with the user's message: two to six words, in the language of the message. "
    "Do not answer the message. Write the name alone, without quotation marks and without a full stop."
)
THINKING = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)
LABEL = re.compile(r"\A(title|name)\s*:\s*", re.IGNORECASE)
TRIMMED = " \t.,;:*_#`\"'“”„‘’«»"


def first_words(message: UserMessageItem) -> str | None:
    """Return the beginning of the message with its mentions, cut at a word, or None if it has no text."""
    return _cut(" ".join(plain_text(message).split())) or None


def clean_title(reply: str) -> str | None:
    """Return the title in a model's reply, or None if it has none or answers the message instead."""
    lines = (line.strip(TRIMMED) for line in THINKING.sub("", reply).splitlines())
    line = LABEL.sub("", next((line for line in lines if line), "")).strip(TRIMMED)
    return _cut(line) or None if len(line) <= MAX_REPLY else None


async def with_title(
    run: AsyncGenerator[ThreadStreamEvent, None], title: "PendingTitle"
) -> AsyncGenerator[ThreadStreamEvent, None]:
    """Yield the events of a run, then that of the thread's title."""
    try:
        async with aclosing(run) as events:
            async for event in events:
                yield event
        async for updated in title.wait():
            yield updated
    finally:
        await title.close()


class PendingTitle:
    """A title that a model is writing. Its event joins those of the run."""

    def __init__(self, maker: "TitleMaker", message: UserMessageItem, context: AgentContext, model: str | None) -> None:
        self._grace = maker.grace
        self._inbox: Inbox = context.inbox
        self._task = asyncio.create_task(self._make(maker, message, context, model), name="title")

    @property
    def is_done(self) -> bool:
        """Whether nothing of the title comes any more but what the inbox has."""
        return self._task.done()

    async def wait(self) -> AsyncIterator[ThreadUpdatedEvent]:
        """After the run: wait for the title, and yield its event unless the run has already yielded it."""
        await asyncio.wait({self._task}, timeout=self._grace)
        while not self._inbox.empty():
            event = self._inbox.get_nowait()
            if isinstance(event, OutsideEvent) and isinstance(event.event, ThreadUpdatedEvent):
                yield event.event

    async def close(self) -> None:
        """Cancel the title if it is not done. Never raises."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _make(
        self, maker: "TitleMaker", message: UserMessageItem, context: AgentContext, model: str | None
    ) -> None:
        try:
            await asyncio.sleep(0)  # a run that calls the model without the Runner sends its request in the meantime
            title = await maker.ask(message, model)
            event = await maker.name(context.thread.id, title, first_words(message), context.request_context)
        except TimeoutError:
            logger.warning(
                "the title took too long (CHATKIT_TITLE_SECONDS): %s; the thread keeps its first words",
                place_of(last_url()),
            )
        except NotFoundError:
            logger.debug("the thread was deleted before it had a title")
        except Exception as error:  # a title must never fail the answer
            to_turn_failure(error, subject="the thread's title", last_url=last_url())
        else:
            if event is not None:
                self._inbox.put_nowait(OutsideEvent(event))


class TitleMaker:
    """Asks a model to name threads, in parallel with the answer."""

    def __init__(
        self,
        store: SqlStore[RequestContext],
        provider: ModelProvider,
        *,
        model: str | None,
        default_model: str,
        seconds: float,
        grace: float = GRACE_SECONDS,
    ) -> None:
        """`model` writes all titles; None leaves each to the model that answers, by default `default_model`.

        `seconds` limits one request for a title. `grace`, in seconds, is how long a complete answer waits for it.
        """
        self.grace = grace
        self._store = store
        self._provider = provider
        self._model = model
        self._default_model = default_model
        self._seconds = seconds

    @classmethod
    def of_settings(
        cls, store: SqlStore[RequestContext], models: Models, settings: Settings, *, grace: float
    ) -> "TitleMaker | None":
        """Return what names threads; None if titles are off or the provider cannot write them."""
        if not settings.titles or models.info.provider in {"demo", "embedded"}:
            return None
        return cls(
            store,
            models.provider,
            model=settings.title_model,
            default_model=models.info.name,
            seconds=settings.title_seconds,
            grace=grace,
        )

    def start(self, items: Sequence[ThreadItem], context: AgentContext, answering: str | None) -> PendingTitle | None:
        """Start a title, or return None if the thread has a name other than its first words.

        None also if the thread has more than `ATTEMPTS` user messages, the first has no text, or the session has no
        titles.
        `items` are the thread's newest items, `answering` is the model of the answer, or None for the default.
        """
        session = context.request_context.session
        if session is not None and not session.has_titles:
            return None
        messages = [item for item in items if isinstance(item, UserMessageItem)]
        if not 0 < len(messages) <= ATTEMPTS or context.thread.title != first_words(messages[0]):
            return None
        if not plain_text(messages[0]).strip():
            return None
        return PendingTitle(self, messages[0], context, self._model or answering)

    async def ask(self, message: UserMessageItem, model: str | None) -> str | None:
        """Return a title for the message, or None if the reply is unusable.

        Raises what the model raises, or `TimeoutError`.
        """
        text = plain_text(message)[:MAX_MESSAGE]
        async with asyncio.timeout(self._seconds):
            reply = await ask_once(self._provider.get_model(model), model or self._default_model, INSTRUCTIONS, text)
        return clean_title(reply)

    async def name(
        self, thread_id: str, title: str | None, instead_of: str | None, context: RequestContext
    ) -> ThreadUpdatedEvent | None:
        """Store the title and return the event for the client, or None if there is no title or the name has changed.

        `instead_of` is the name that the title may replace.
        """
        if title is None:
            return None
        thread = await self._store.name_thread(thread_id, title, context, instead_of=instead_of)
        if thread is None:
            return None
        return ThreadUpdatedEvent(thread=Thread(**thread.model_dump(), items=Page()))


def _cut(text: str) -> str:
    if len(text) <= MAX_LENGTH:
        return text
    cut = text[:MAX_LENGTH]
    return (cut.rsplit(" ", 1)[0] if " " in cut[MIN_CUT:] else cut).rstrip(" ,;:.") + "…"
