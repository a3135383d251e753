"""Send requests through the openai client: valid for every endpoint, and without transforming what is in wire form.

openai 3.54 matches every tool and every message of the history against unions of up to 30 typed dicts before it sends
them: 2 ms for three tools, and more with each message. The Agents SDK passes plain JSON in wire form, so we move it to
`extra_body`, which the client merges into the body unchanged. Anything else takes the stock path.

Builds on public names only. tests/models/test_fast_requests.py compares the body with the stock client's.
"""

from collections.abc import Mapping
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

MAX_ADAPTATIONS = 3
"""How often one request is repeated without a field that the endpoint rejects."""

PLAIN_TOOLS = frozenset({"function"})
PLAIN_ITEMS = frozenset({"message", "function_call", "function_call_output", "reasoning"})


class FastResponses(AsyncResponses):
    """`client.responses`."""

    async def create(self, **options: Any) -> Any:
        """See `AsyncResponses.create`. If the model rejects a picture or file, try without the earlier ones."""
        items = options.get("input")
        if isinstance(instructions := options.get("instructions"), str):
            options["instructions"] = clean_text(instructions)
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            return await self._create(options)
        options["input"] = fit_items(items)
        try:
            return await self._create(dict(options))
        except openai.APIStatusError as error:
            without_files = items_without_old_files(options["input"])
            if provider_failure(error, "") != "model_files" or without_files == options["input"]:
                raise
            return await self._create({**options, "input": without_files})

    async def _create(self, options: dict[str, Any]) -> Any:
        plain = {name: options.pop(name) for name in ("input", "tools") if _is_wire_form(options.get(name))}
        if plain:
            options["extra_body"] = {**plain, **(options.get("extra_body") or {})}
        return _no_page(await super().create(**options))


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
        plain = {"messages": options["messages"]}
        if _is_wire_form(options.get("tools")):
            plain["tools"] = options["tools"]
        rest = {name: value for name, value in options.items() if name not in plain}
        rest["extra_body"] = {**plain, **(options.get("extra_body") or {})}
        answer = _no_page(await super().create(messages=[], **rest))
        if isinstance(answer, ChatCompletion):
            record_fields(answer.to_dict())
        return answer


def _no_page(answer: Any) -> Any:
    """Return the answer. Raises `NotAnEndpoint` for a text: the openai client returns it for what is not JSON."""
    if isinstance(answer, str):
        raise NotAnEndpoint("a page or text")
    return answer


def _is_wire_form(value: object) -> bool:
    """Return whether this is a list of items or tools whose keys all have the same name on the wire."""
    return isinstance(value, list) and all(
        isinstance(entry, dict) and _kind(entry) in PLAIN_ITEMS | PLAIN_TOOLS and _is_plain(entry) for entry in value
    )


def _kind(entry: Mapping[str, Any]) -> Any:
    return entry.get("type", "message" if "role" in entry else None)


def _is_plain(value: object) -> bool:
    """Return whether this is plain JSON, unlike the client's `omit`, pydantic models and files."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(entry) for key, entry in value.items())
    if isinstance(value, list):
        return all(_is_plain(entry) for entry in value)
    return value is None or isinstance(value, str | int | float)
