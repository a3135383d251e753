"""Handlers for the actions of widgets and of the page.

A handler is a function that asks for what it needs by the names of its parameters: `payload`, `action`, `thread`,
`sender`, `context`, `server`, `agent_context`. pydantic validates the payload against the annotation of `payload`.

    actions = Actions()

    @actions.on("colour.choose")
    async def choose(payload: Choice, sender: WidgetItem) -> WidgetRoot:
        return card(payload.colour)

A coroutine function returns the new widget of its sender, an item, or None, and serves both kinds of actions. An async
generator yields thread events and can answer only actions that stream.
"""

import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, fields
from typing import Any, TypeVar, cast

from chatkit.actions import Action
from chatkit.server import ChatKitServer
from chatkit.types import (
    SyncCustomActionResponse,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    WidgetItem,
)
from chatkit.widgets import WidgetComponentBase
from pydantic import TypeAdapter, ValidationError

from ..agent_context import turn_context
from ..context import RequestContext
from ..errors.http import InvalidItem, InvalidParams, NotAvailable
from .forms import with_values_since
from .host import InteractionHost

logger = logging.getLogger(__name__)

Handler = TypeVar("Handler", bound=Callable[..., Any])
_MARK = "__chatkit_action__"


@dataclass(frozen=True)
class ActionCall:
    """An action with everything that a handler may ask for; `sender` is None for an action of the page."""

    action: Action[str, Any]
    thread: ThreadMetadata
    sender: WidgetItem | None
    context: RequestContext
    server: ChatKitServer[RequestContext]


AGENT_CONTEXT = "agent_context"
"""The parameter that gets what tools get as their context."""
HANDLER_PARAMETERS = frozenset({"payload", AGENT_CONTEXT, *(field.name for field in fields(ActionCall))})


class ActionHandler:
    """A function that answers the actions of one type. Raises TypeError for a parameter of an unknown name."""

    def __init__(self, type: str, function: Callable[..., Any]) -> None:
        self.type = type
        self._function = function
        self._streams = inspect.isasyncgenfunction(function)
        parameters = inspect.signature(function, eval_str=True).parameters
        if unknown := parameters.keys() - HANDLER_PARAMETERS:
            raise TypeError(
                f"the handler of the action {type!r} has unknown parameters: {', '.join(sorted(unknown))}; "
                f"it can have {', '.join(sorted(HANDLER_PARAMETERS))}"
            )
        if not (self._streams or inspect.iscoroutinefunction(function)):
            raise TypeError(f"the handler of the action {type!r} must be `async def`")
        self._names = tuple(parameters)
        payload, sender = parameters.get("payload"), parameters.get("sender")
        self._needs_sender = sender is not None and sender.annotation is WidgetItem
        is_typed = payload is not None and payload.annotation is not inspect.Parameter.empty
        self._payload: TypeAdapter[Any] = TypeAdapter(payload.annotation if payload and is_typed else Any)

    def stream(self, call: ActionCall) -> AsyncIterator[ThreadStreamEvent]:
        """Return the answer as events. Raises `InvalidParams` or `InvalidItem` at once, before the handler runs."""
        arguments = self._arguments(call)
        if AGENT_CONTEXT in self._names:
            return self._with_agent_context(call, arguments)
        return self._events(call, arguments)

    async def answer(self, call: ActionCall) -> SyncCustomActionResponse:
        """Return the answer as one item, or None if nothing changed. Raises as `stream`, and `NotAvailable`."""
        if self._streams:
            raise NotAvailable(f"The action “{self.type}” answers with a stream; send it without `streaming: false`.")
        arguments = self._arguments(call)
        if AGENT_CONTEXT not in self._names:
            return _response(await self._function(**arguments), call)
        turn = await _host_of(call).open_context(call.thread, call.context)
        arguments[AGENT_CONTEXT] = turn.run_context
        turn_context.set(turn)  # for the rest of the task, which serves this action
        response = _response(await self._function(**arguments), call)
        if turn.take_events():
            logger.warning(
                "the handler of the action %s sent events, which nobody sees: an action with `streaming: false` is "
                "answered with one item",
                self.type,
            )
        return response

    def _events(self, call: ActionCall, arguments: dict[str, Any]) -> AsyncGenerator[ThreadStreamEvent, None]:
        if not self._streams:
            return self._as_events(call, arguments)
        events: AsyncGenerator[ThreadStreamEvent, None] = self._function(**arguments)
        return events

    async def _with_agent_context(
        self, call: ActionCall, arguments: dict[str, Any]
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        """Yield the events of the handler with those that it sends by helpers of the agent's context."""
        turn = await _host_of(call).open_context(call.thread, call.context)
        turn_context.set(turn)  # for the rest of the task, which serves this action
        async with aclosing(self._events(call, arguments | {AGENT_CONTEXT: turn.run_context})) as events:
            async for event in events:
                for sent in turn.take_events():
                    yield sent
                yield event
        for sent in turn.take_events():
            yield sent

    async def _as_events(self, call: ActionCall, arguments: dict[str, Any]) -> AsyncGenerator[ThreadStreamEvent, None]:
        before = None if call.sender is None else call.sender.model_copy(deep=True)  # the handler may change the sender
        item = _response(await self._function(**arguments), call).updated_item
        if item is None:
            return
        if before is None or before.id != item.id:
            yield ThreadItemDoneEvent(item=item)
            return
        current = await call.server.store.load_item(call.thread.id, before.id, call.context)
        if isinstance(item, WidgetItem) and isinstance(current, WidgetItem):
            item = with_values_since(item, before, current)
        yield ThreadItemReplacedEvent(item=item)

    def _arguments(self, call: ActionCall) -> dict[str, Any]:
        if self._needs_sender and call.sender is None:
            raise InvalidItem(f"The action “{self.type}” can only come from a widget.")
        values = {name: getattr(call, name) for name in self._names if name not in {"payload", AGENT_CONTEXT}}
        return values | ({"payload": self._validate(call.action.payload)} if "payload" in self._names else {})

    def _validate(self, payload: Any) -> Any:
        try:
            return self._payload.validate_python(payload)
        except ValidationError as error:
            # Only locations and kinds: the values are what the user typed.
            faults = "; ".join(
                f"{'.'.join(str(part) for part in fault['loc']) or 'payload'}: {fault['msg']}"
                for fault in error.errors(include_url=False, include_context=False, include_input=False)[:3]
            )
            raise InvalidParams(f"The action “{self.type}” got an invalid payload. {faults}.") from None


class Actions:
    """Handlers by the action types that they answer."""

    def __init__(self) -> None:
        self._handlers: dict[str, ActionHandler] = {}

    def __iter__(self) -> Iterator[ActionHandler]:
        return iter(self._handlers.values())

    def on(self, type: str) -> Callable[[Handler], Handler]:
        """Register the decorated function for actions of this type. Raises ValueError for a type that has a handler."""

        def register(function: Handler) -> Handler:
            self._add(ActionHandler(type, function))
            return function

        return register

    def include(self, actions: "Actions") -> None:
        """Add all handlers of `actions`. Raises ValueError for a type that has a handler."""
        for handler in actions:
            self._add(handler)

    def find(self, type: str) -> ActionHandler | None:
        """Return the handler for a type, or None."""
        return self._handlers.get(type)

    @classmethod
    def of_methods(cls, owner: object) -> "Actions":
        """Return the methods of an object that are marked with `on_action`."""
        actions = cls()
        for name in dir(type(owner)):
            if (action_type := getattr(getattr(type(owner), name, None), _MARK, None)) is not None:
                actions.on(action_type)(getattr(owner, name))
        return actions

    def _add(self, handler: ActionHandler) -> None:
        if handler.type in self._handlers:
            raise ValueError(f"two handlers answer the action {handler.type!r}")
        self._handlers[handler.type] = handler


def on_action(type: str) -> Callable[[Handler], Handler]:
    """Mark a method of a `ChatServer` subclass as the handler for actions of this type."""

    def mark(method: Handler) -> Handler:
        setattr(method, _MARK, type)
        return method

    return mark


def _host_of(call: ActionCall) -> InteractionHost:
    """Return the server, which is typed as chatkit's class for the handlers of authors."""
    return cast(InteractionHost, call.server)


def _response(answer: Any, call: ActionCall) -> SyncCustomActionResponse:
    """Wrap what a coroutine function returned: a widget, an item, a response or None.

    Raises pydantic's `ValidationError` for anything else.
    """
    if answer is None or isinstance(answer, SyncCustomActionResponse):
        return answer or SyncCustomActionResponse()
    if isinstance(answer, WidgetComponentBase) and call.sender is not None:
        answer = call.sender.model_copy(update={"widget": answer})
    item: ThreadItem = answer
    return SyncCustomActionResponse(updated_item=item)
