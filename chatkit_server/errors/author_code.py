"""Turn whatever the author's code raises into an ordinary exception, so that it fails one call and not the server.

asyncio re-raises SystemExit out of a task and stops the event loop; `except Exception` misses SystemExit, GeneratorExit
and an author's own BaseException; a future refuses StopIteration and never completes. Tools, hooks, guardrails, action
handlers and all other functions of the author run in tasks or in OS threads, so the conversion is done there: for all
tasks at once (`contain_tasks`), and in the tool threads (`startup/tool_threads.py`). KeyboardInterrupt alone ends the
process.
"""

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any

from openai import OpenAIError

TOOL_CALL, TOOL_VARIABLE = "call_tool", "tool_name"
"""The function that calls a tool (`agents/tool_failures.py`) and its variable with the tool's name: the watch of the
event loop finds them in the stack of a blocking tool."""


class FunctionEnded(BaseException):
    """The author's function must end here: raised by this server, not by the author. This is no `Exception`, so that
    `except Exception` in the author's code lets it pass, also where it comes from a task."""


class AuthorCodeError(Exception):
    """The author's code raised something that is not an ordinary exception, which is the `__cause__`."""


PASSED = (Exception, asyncio.CancelledError, KeyboardInterrupt, FunctionEnded)
"""What the coroutine of a task may raise."""


def import_failure(error: BaseException) -> str:
    """Return why a module of the author cannot be imported, without a period at the end."""
    if isinstance(error, OpenAIError) and "OPENAI_API_KEY" in str(error):  # its text names five ways to pass a key
        return "OpenAIError: it makes an OpenAI client of its own; set OPENAI_API_KEY, in .env or the environment"
    return f"{type(error).__name__}: {error}".rstrip(": .")


def as_exception(error: BaseException) -> Exception:
    """Return `error` itself if a future and `except Exception` accept it, else an `AuthorCodeError` caused by it."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration | StopAsyncIteration):
        return error
    failure = AuthorCodeError(f"{type(error).__name__} was raised")
    failure.__cause__ = error
    return failure


def contain_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Make all tasks that are created in `loop` from now on end with an ordinary exception at worst."""
    loop.set_task_factory(_contained_task)


def _contained_task(
    loop: asyncio.AbstractEventLoop, coroutine: Any, *, context: Context | None = None, **options: Any
) -> asyncio.Task[Any]:
    context = copy_context() if context is None else context
    contained: Any = ContainedCoroutine(coroutine, context) if asyncio.iscoroutine(coroutine) else coroutine
    return asyncio.Task(contained, loop=loop, context=context, **options)


class ContainedCoroutine(Coroutine[Any, Any, Any]):
    """A coroutine that raises no SystemExit and no GeneratorExit of its own, nor an author's BaseException.

    Other attributes are those of the coroutine, such as `cr_frame`.
    """

    __slots__ = ("_coroutine", "context")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], context: Context) -> None:
        self._coroutine = coroutine
        self.context = context
        """The context variables of its task, which `asyncio.Task` does not give away before Python 3.12."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coroutine, name)

    def __repr__(self) -> str:
        return repr(self._coroutine)

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        """Resume the coroutine. Runs once per step of every task."""
        try:
            return self._coroutine.send(value)
        except PASSED:  # StopIteration is its result
            raise
        except BaseException as error:
            raise as_exception(error) from error

    def throw(self, *exception: Any) -> Any:
        """Resume the coroutine with an exception."""
        try:
            return self._coroutine.throw(*exception)
        except PASSED:
            raise
        except BaseException as error:
            if error in exception:  # thrown in by the caller, and not the author's
                raise
            raise as_exception(error) from error
        finally:
            del exception  # its traceback has this frame: the two would keep each other until a garbage collection

    def close(self) -> None:
        """Close the coroutine."""
        self._coroutine.close()
