"""Send requests through the openai client: valid for every endpoint, and without transforming what is in wire form.

openai 3.54 matches every tool and every message of the history against unions of up to 30 typed dicts before it sends
them: 2 ms for three tools, and more with each message. The Agents SDK passes plain JSON in wire form, so we move it to
`extra_body`, which the client merges into the body unchanged. Anything else takes the stock path.

Builds on public names only. tests/models/test_fast_requests.py compares the body with the stock client's. If all of a
body is plain, its request is built by `prepared_requests.py`.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any

import openai
from openai.resources.chat import AsyncChat, AsyncCompletions
from openai.resources.responses import AsyncResponses
from openai.types.chat import ChatCompletion

from chatkit_store import clean_text

from ...errors.failures import NotAnEndpoint
from ...errors.provider_failures import provider_failure
from ..fit_messages import fit_items, fit_messages, items_without_old_files
from ..learned_limits import LearnedLimits
from ..returned_fields import add_returned_fields, fields_to_return, record_fields
from .direct_calls import DirectCalls, EarlyOutcome, early_outcome
from .packed_items import unpacked
from .plain_body import with_plain_body
from .prepared_requests import forget_request
from .quick_walk import replaced_walks  # noqa: F401  imported for what it does
from .wire_items import FittedItems

MAX_ADAPTATIONS = 3
"""How often one request is repeated without a field that the endpoint rejects."""


class FastResponses(AsyncResponses):
    """`client.responses`."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.direct = DirectCalls(client, is_chat=False)

    async def create(self, **options: Any) -> Any:
        """See `AsyncResponses.create`. If the model rejects a picture or file, try without the earlier ones."""
        items = options.get("input")
        if isinstance(instructions := options.get("instructions"), str):
            options["instructions"] = clean_text(instructions)
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            return await self._create(options)
        options["input"] = items if type(items) is FittedItems else fit_items(items)
        try:
            return await self._create(dict(options))
        except openai.APIStatusError as error:
            items = unpacked(options["input"])
            without_files = items_without_old_files(items)
            if provider_failure(error, "") != "model_files" or without_files == items:
                raise
            return await self._create({**options, "input": without_files})

    async def _create(self, options: dict[str, Any]) -> Any:
        plain = with_plain_body(options, lists=("input", "tools"))
        answer = await self.direct.ask(plain)
        if answer is None or isinstance(answer, EarlyOutcome):
            answer = await self._create_as_stock(plain, answer)
        forget_request(answer, plain["extra_body"])
        return answer

    async def _create_as_stock(self, plain: dict[str, Any], early: EarlyOutcome | None) -> Any:
        async with _as_first_outcome(early):
            answer = _no_page(await super().create(**plain))
        if early is None:
            self.direct.learn(plain, answer)
        return answer


class FastChat(AsyncChat):
    """`client.chat`."""

    def __init__(self, client: openai.AsyncOpenAI, limits: LearnedLimits) -> None:
        super().__init__(client)
        self._limits = limits

    @cached_property
    def completions(self) -> "FastCompletions":
        """Create chat completions."""
        return FastCompletions(self._client, self._limits)


class FastCompletions(AsyncCompletions):
    """`client.chat.completions`."""

    def __init__(self, client: openai.AsyncOpenAI, limits: LearnedLimits) -> None:
        super().__init__(client)
        self._limits = limits
        self._direct = DirectCalls(client, is_chat=True)

    async def create(self, **options: Any) -> Any:
        """See `AsyncCompletions.create`. If the endpoint rejects a field that it can do without, try without it."""
        options["messages"] = fit_messages(options["messages"])
        add_returned_fields(options["messages"], fields_to_return.get())
        for _ in range(MAX_ADAPTATIONS):
            self._limits.apply(options)
            try:
                return await self._create(options)
            except openai.APIStatusError as error:
                if not self._limits.learn(error, options):
                    raise
        self._limits.apply(options)
        return await self._create(options)

    async def _create(self, options: Mapping[str, Any]) -> Any:
        rest = with_plain_body(options, lists=("messages", "tools"))
        if "messages" in rest:  # not plain, but in wire form
            rest["extra_body"] = {"messages": rest.pop("messages"), **rest["extra_body"]}
        answer = await self._direct.ask(rest)
        if answer is None or isinstance(answer, EarlyOutcome):
            answer = await self._create_as_stock(options["model"], rest, answer)
        if isinstance(answer, ChatCompletion):
            record_fields(answer.to_dict())
        forget_request(answer, rest["extra_body"])
        return answer

    async def _create_as_stock(self, model: str, rest: dict[str, Any], early: EarlyOutcome | None) -> Any:
        async with _as_first_outcome(early):
            answer = _no_page(await super().create(messages=[], model=model, **rest))
        if early is None:
            self._direct.learn(rest, answer)
        return answer


@asynccontextmanager
async def _as_first_outcome(early: EarlyOutcome | None) -> AsyncIterator[None]:
    """Let the openai client's first attempt have the outcome of a request that was sent directly, if there was one."""
    token = early_outcome.set(early)
    try:
        yield
    finally:
        early_outcome.reset(token)
        if early is not None:
            await early.drop()


def _no_page(answer: Any) -> Any:
    """Return the answer. Raises `NotAnEndpoint` for a text: the openai client returns it for what is not JSON."""
    if isinstance(answer, str):
        raise NotAnEndpoint("a page or text")
    return answer
