"""The context that an author's code gets: by default `{"request": request}`, as in chatkit's samples."""

import inspect
from collections.abc import Callable
from typing import Any

from ..context import RequestContext, request_of
from ..errors.setup import SetupError

ContextMaker = Callable[..., Any]
"""`context(request)` or `context(request, request_context)`, sync or async. Returns what the author's code gets."""

OURS = "request_context"
"""A parameter of this name gets our context, even if it has a default."""


class AuthorContexts:
    """Makes the contexts of an author's code."""

    def __init__(self, make: ContextMaker | None, title: str = "context") -> None:
        """`make` is the author's function, which `title` names in errors. Raises `SetupError` if it does not fit."""
        self._make = make
        self._takes_ours = make is not None and _takes_two(make, title)

    def describe(self) -> str:
        """Return what makes the contexts, for `doctor`."""
        if self._make is None:
            return '{"request": request}'
        return f"what {getattr(self._make, '__qualname__', type(self._make).__name__)} makes of the request"

    async def context_for(self, context: RequestContext) -> Any:
        """Return a new context for a request. Raises what the author's function raises."""
        request = request_of(context)
        if self._make is None:
            return {"request": request}
        author_context = self._make(request, context) if self._takes_ours else self._make(request)
        return await author_context if inspect.isawaitable(author_context) else author_context


def _takes_two(make: ContextMaker, title: str) -> bool:
    try:
        signature = inspect.signature(make)
    except (TypeError, ValueError) as error:
        raise SetupError(f"{title} is not a function that makes a context from a request.") from error
    for arguments in ((None, None), (None,)) if OURS in signature.parameters else ((None,), (None, None)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return len(arguments) == 2
    raise SetupError(f"{title} must take the request, or the request and our RequestContext.")
