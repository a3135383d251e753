"""Who answers which action of a widget or of the page, and with what payload.

A handler is a function that says by the names of its parameters what it wants: any of `payload`, `action`, `thread`,
`sender`, `context`, `server`. The annotation of `payload` is what pydantic makes of it.

    actions = Actions()

    @actions.on("colour.choose")
    async def choose(payload: Choice, sender: WidgetItem) -> WidgetRoot:
        return card(payload.colour)

A coroutine function answers with the new widget of its sender, with an item, or with nothing, and serves both kinds of
actions. An async generator yields any thread events; only an action that streams can be answered by one.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, TypeVar

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

from ..context import RequestContext
from ..errors.http import InvalidItem, InvalidParams, NotAvailable
from .forms import with_values_since

Function = TypeVar("Function", bound=Callable[..., Any])
_MARK = "__chatkit_action__"


@dataclass(frozen=True)
class ActionCall:
    """One action on its way to a handler; `sender` is None for an action of the page."""

    action: Action[str, Any]
    thread: ThreadMetadata
    sender: WidgetItem | None
    context: RequestContext
    server: ChatKitServer[RequestContext]


WANTED = frozenset({"payload", *(field.name for field in fields(ActionCall))})


class ActionHandler:
    """A function that answers the actions of one type. Raises TypeError for a parameter that nobody could fill."""

    def __init__(self, type: str, function: Callable[..., Any]) -> None:
        self.type = type
        self._function = function
        self._streams = inspect.isasyncgenfunction(function)
        parameters = inspect.signature(function, eval_str=True).parameters
        if unknown := parameters.keys() - WANTED:
            raise TypeError(
                f"the handler of the action {type!r} asks for {', '.join(sorted(unknown))}; "
                f"it can ask for {', '.join(sorted(WANTED))}"
            )
        if not (self._streams or inspect.iscoroutinefunction(function)):
            raise TypeError(f"the handler of the action {type!r} must be `async def`")
        self._names = tuple(parameters)
        payload, sender = parameters.get("payload"), parameters.get("sender")
        self._needs_sender = sender is not None and sender.annotation is WidgetItem
        is_typed = payload is not None and payload.annotation is not inspect.Parameter.empty
        self._payload: TypeAdapter[Any] = TypeAdapter(payload.annotation if payload and is_typed else Any)

    def stream(self, call: ActionCall) -> AsyncIterator[ThreadStreamEvent]:
        """The events of the answer. Raises `InvalidParams` or `InvalidItem` at once, before the handler runs."""
        arguments = self._arguments(call)
        if self._streams:
            events: AsyncIterator[ThreadStreamEvent] = self._function(**arguments)
            return events
        return self._as_events(call, arguments)

    async def answer(self, call: ActionCall) -> SyncCustomActionResponse:
        """The one item of the answer, None where nothing changed. Raises as `stream`, and `NotAvailable`."""
        if self._streams:
            raise NotAvailable(f"The action “{self.type}” answers with a stream; send it without `streaming: false`.")
        return _response(await self._function(**self._arguments(call)), call)

    async def _as_events(self, call: ActionCall, arguments: dict[str, Any]) -> AsyncIterator[ThreadStreamEvent]:
        seen = None if call.sender is None else call.sender.model_copy(deep=True)  # the handler may change its own
        item = _response(await self._function(**arguments), call).updated_item
        if item is None:
            return
        if seen is None or seen.id != item.id:
            yield ThreadItemDoneEvent(item=item)
            return
        now = await call.server.store.load_item(call.thread.id, seen.id, call.context)
        if isinstance(item, WidgetItem) and isinstance(now, WidgetItem):
            item = with_values_since(item, seen, now)
        yield ThreadItemReplacedEvent(item=item)

    def _arguments(self, call: ActionCall) -> dict[str, Any]:
        if self._needs_sender and call.sender is None:
            raise InvalidItem(f"The action “{self.type}” can only come from a widget.")
        values = {name: getattr(call, name) for name in self._names if name != "payload"}
        return values | ({"payload": self._validated(call.action.payload)} if "payload" in self._names else {})

    def _validated(self, payload: Any) -> Any:
        try:
            return self._payload.validate_python(payload)
        except ValidationError as error:
            # Only places and kinds: the values are what the user typed.
            faults = "; ".join(
                f"{'.'.join(str(part) for part in fault['loc']) or 'payload'}: {fault['msg']}"
                for fault in error.errors(include_url=False, include_context=False, include_input=False)[:3]
            )
            raise InvalidParams(f"The action “{self.type}” cannot work with what was sent. {faults}.") from None


class Actions:
    """Handlers by the type of their action."""

    def __init__(self) -> None:
        self._handlers: dict[str, ActionHandler] = {}

    def __iter__(self) -> Iterator[ActionHandler]:
        return iter(self._handlers.values())

    def on(self, type: str) -> Callable[[Function], Function]:
        """Decorates the function that answers actions of this type. Raises ValueError for a type that is taken."""

        def register(function: Function) -> Function:
            self._add(ActionHandler(type, function))
            return function

        return register

    def include(self, others: "Actions") -> None:
        """Takes all handlers of `others` in. Raises ValueError for a type that is taken."""
        for handler in others:
            self._add(handler)

    def find(self, type: str) -> ActionHandler | None:
        """The handler of a type."""
        return self._handlers.get(type)

    @classmethod
    def of_methods(cls, owner: object) -> "Actions":
        """The methods of an object that are marked with `on_action`."""
        found = cls()
        for name in dir(type(owner)):
            if (marked := getattr(getattr(type(owner), name, None), _MARK, None)) is not None:
                found.on(marked)(getattr(owner, name))
        return found

    def _add(self, handler: ActionHandler) -> None:
        if handler.type in self._handlers:
            raise ValueError(f"two handlers answer the action {handler.type!r}")
        self._handlers[handler.type] = handler


def on_action(type: str) -> Callable[[Function], Function]:
    """Marks a method of a `ChatServer` subclass as the handler of this type of action."""

    def mark(method: Function) -> Function:
        setattr(method, _MARK, type)
        return method

    return mark


def _response(answer: Any, call: ActionCall) -> SyncCustomActionResponse:
    """What a coroutine function's answer means. Raises TypeError for what is none."""
    if answer is None or isinstance(answer, SyncCustomActionResponse):
        return answer or SyncCustomActionResponse()
    if isinstance(answer, WidgetComponentBase) and call.sender is not None:
        answer = call.sender.model_copy(update={"widget": answer})
    item: ThreadItem = answer
    return SyncCustomActionResponse(updated_item=item)
