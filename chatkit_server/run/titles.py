"""Names for threads: the first words of the message, then what a model makes of it beside the answer."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Sequence

from agents import ModelProvider
from chatkit.store import NotFoundError
from chatkit.types import Page, Thread, ThreadItem, ThreadUpdatedEvent, UserMessageItem, UserMessageTextContent

from chatkit_store import SqlStore

from ..agent_context import AgentContext, AsideEvent, Inbox
from ..context import RequestContext
from ..errors.log_format import redacted_traceback
from ..models.one_shot import ask_once

logger = logging.getLogger(__name__)

MAX_LENGTH = 60
MAX_SAID = 120
"""More characters than this are an answer to the message, and no title of it."""
READ_LENGTH = 2000
"""Characters of the message that a model gets to read."""
ATTEMPTS = 2
"""Messages of a thread that may have it named: a model that failed at the first gets another chance."""
GRACE_SECONDS = 2.0
"""How long an answer that is complete waits for its title."""

INSTRUCTIONS = (
    "Name the conversation that begins with the user's message: two to six words, in the language of the message. "
    "Do not answer the message. Write the name alone, without quotation marks and without a full stop."
)
THINKING = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)
LABEL = re.compile(r"\A(title|name)\s*:\s*", re.IGNORECASE)
AROUND = " \t.,;:*_#`\"'“”„‘’«»"


def first_words(message: UserMessageItem) -> str | None:
    """The beginning of the message, cut at a word; None where it has no text."""
    return _cut(" ".join(_text_of(message).split())) or None


def clean_title(said: str) -> str | None:
    """The title in what a model said; None where there is none, or an answer in its place."""
    lines = (line.strip(AROUND) for line in THINKING.sub("", said).splitlines())
    line = LABEL.sub("", next((line for line in lines if line), "")).strip(AROUND)
    return _cut(line) or None if len(line) <= MAX_SAID else None


class Title:
    """A title on its way: it is put between the events of the run, while that goes on."""

    def __init__(self, maker: "TitleMaker", message: UserMessageItem, run: AgentContext, model: str | None) -> None:
        self._inbox: Inbox = run.inbox
        self._task = asyncio.create_task(self._make(maker, message, run, model), name="title")

    async def rest(self) -> AsyncIterator[ThreadUpdatedEvent]:
        """Once the run has ended: the title, where it comes soon enough and was not told yet."""
        await asyncio.wait({self._task}, timeout=GRACE_SECONDS)
        while not self._inbox.empty():
            left = self._inbox.get_nowait()
            if isinstance(left, AsideEvent) and isinstance(left.event, ThreadUpdatedEvent):
                yield left.event

    async def close(self) -> None:
        """Ends the work on it. Never raises."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _make(self, maker: "TitleMaker", message: UserMessageItem, run: AgentContext, model: str | None) -> None:
        request_id = run.request_context.request_id
        try:
            title = await maker.ask(message, model)
            event = await maker.name(run.thread.id, title, first_words(message), run.request_context)
        except TimeoutError:
            logger.warning("request %s: the title took too long; the first words stay", request_id)
        except NotFoundError:
            logger.debug("request %s: the thread went before it had a title", request_id)
        except Exception as error:  # whatever it is, the answer goes on
            logger.warning("request %s: no title was made\n%s", request_id, redacted_traceback(error))
        else:
            if event is not None:
                self._inbox.put_nowait(AsideEvent(event))


class TitleMaker:
    """Has a model name threads. What it does costs the answer nothing but a few tokens of the model's."""

    def __init__(
        self,
        store: SqlStore[RequestContext],
        provider: ModelProvider,
        *,
        model: str | None,
        default_model: str,
        seconds: float,
    ) -> None:
        """`model` makes all titles; None leaves that to the one that answers, by default `default_model`."""
        self._store = store
        self._provider = provider
        self._model = model
        self._default_model = default_model
        self._seconds = seconds

    def start(self, items: Sequence[ThreadItem], run: AgentContext, answering: str | None) -> Title | None:
        """Begins where the thread has nothing but its first words for a title yet; None where it has."""
        messages = [item for item in items if isinstance(item, UserMessageItem)]
        if not 0 < len(messages) <= ATTEMPTS or run.thread.title != first_words(messages[0]):
            return None
        if not _text_of(messages[0]).strip():
            return None
        return Title(self, messages[0], run, self._model or answering)

    async def ask(self, message: UserMessageItem, model: str | None) -> str | None:
        """A title for the message; None for nothing usable. Raises what the model raises, and `TimeoutError`."""
        text = _text_of(message)[:READ_LENGTH]
        async with asyncio.timeout(self._seconds):
            said = await ask_once(self._provider.get_model(model), model or self._default_model, INSTRUCTIONS, text)
        return clean_title(said)

    async def name(
        self, thread_id: str, title: str | None, instead_of: str | None, context: RequestContext
    ) -> ThreadUpdatedEvent | None:
        """Writes the title, unless somebody was quicker; returns what the header has to be told."""
        if title is None or not await self._store.name_thread(thread_id, title, context, instead_of=instead_of):
            return None
        named = await self._store.load_thread(thread_id, context)
        return ThreadUpdatedEvent(thread=Thread(**named.model_dump(), items=Page()))


def _text_of(message: UserMessageItem) -> str:
    return " ".join(part.text for part in message.content if isinstance(part, UserMessageTextContent))


def _cut(text: str) -> str:
    if len(text) <= MAX_LENGTH:
        return text
    cut = text[:MAX_LENGTH]
    return (cut.rsplit(" ", 1)[0] if " " in cut[20:] else cut).rstrip(" ,;:.") + "…"
