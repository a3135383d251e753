"""A login by code of the user: a function or a callable object, passed to `create_app` or named in CHATKIT_AUTH."""

import inspect
import pkgutil
from collections.abc import Awaitable, Callable

from fastapi import params
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from ..errors.author_code import import_failure
from ..errors.http import NotAuthenticated
from ..errors.setup import SetupError
from ..settings.working_directory import see_working_directory
from .dependency_login import DependencyLogin, is_dependency
from .login import User, bearer_token, with_token

Answer = User | str | None
"""A text is the user's id."""
LoginFunction = Callable[[HTTPConnection], Answer] | Callable[[HTTPConnection], Awaitable[Answer]] | params.Depends
"""Who sends a request. A plain function runs in a thread, so that it may wait for a database. `Depends(function)` is
called by FastAPI, with what its parameters ask for."""

REFUSALS = frozenset({401, 403})


class OwnLogin:
    """Makes a `Login` of a function, a callable object or a dependency of FastAPI."""

    def __init__(self, login: LoginFunction, title: str) -> None:
        """`title` names it in errors. Raises `SetupError` if it cannot be called with a request."""
        if not isinstance(login, params.Depends) and is_dependency(login):
            login = params.Depends(login)
        if isinstance(login, params.Depends):
            login = DependencyLogin(login, title)
        _check(login, title)
        self._login = login
        self._title = title
        self._is_async = inspect.iscoroutinefunction(login) or inspect.iscoroutinefunction(type(login).__call__)

    async def __call__(self, request: HTTPConnection) -> User | None:
        """Return the user. Raises `NotAuthenticated`, also for an `HTTPException` with 401 or 403."""
        if "authorization" not in request.headers and (token := bearer_token(request)) is not None:
            request = with_token(request, token)  # of a WebSocket's subprotocol
        try:
            answer = await self._ask(request)
        except HTTPException as error:
            if error.status_code in REFUSALS:
                raise NotAuthenticated(reason=f"{self._title}: {error.detail}") from error
            raise
        if isinstance(answer, str):
            return User(answer)
        if answer is None or isinstance(answer, User):
            return answer
        raise TypeError(f"{self._title} returned {type(answer).__name__}, not a chatkit_server.User, a str, or None")

    async def aclose(self) -> None:
        """Close it, if it can be closed."""
        if (aclose := getattr(self._login, "aclose", None)) is not None:
            await aclose()

    async def problem(self) -> str | None:
        """Return why it cannot work now, if it says so."""
        find = getattr(self._login, "problem", None)
        return None if find is None else await find()

    async def _ask(self, request: HTTPConnection) -> object:
        answer = self._login(request) if self._is_async else await run_in_threadpool(self._login, request)
        return await answer if inspect.isawaitable(answer) else answer


def load_own_login(spec: str) -> OwnLogin:
    """Return the login at `package.module:name`. Raises `SetupError` with one sentence."""
    see_working_directory()
    title = f"CHATKIT_AUTH={spec}"
    try:
        login = pkgutil.resolve_name(spec)
    except (Exception, SystemExit) as error:  # the user's module may raise anything
        raise SetupError(f"{title} cannot be imported: {import_failure(error)}.") from error
    return OwnLogin(login, title)


def _check(login: object, title: str) -> None:
    if inspect.isclass(login) or not callable(login):
        kind = "a class; pass an instance of it" if inspect.isclass(login) else f"of type {type(login).__name__}"
        raise SetupError(f"{title} is {kind}, not a function that takes a request and returns a user.")
    try:
        inspect.signature(login).bind(object())
    except TypeError as error:
        raise SetupError(f"{title} must take one argument, the request: {error}.") from error
    except ValueError:
        pass  # of a callable without a readable signature
