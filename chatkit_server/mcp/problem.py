"""Why an MCP server cannot be used, and what its administrator can do about it."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from agents import UserError

from .spec import McpSpec

CLOSED = -32000
"""MCP's code for a connection that ended."""
WRONG_PATH = (
    "Correct the path of its url, which mostly ends in /mcp; or, if it speaks the older protocol (mostly at /sse), set "
    "its transport to sse."
)


@dataclass(frozen=True, slots=True)
class McpProblem:
    """Without addresses or keys, for the log and `doctor`."""

    reason: str
    advice: str = ""
    """One or two sentences, if there is anything to do."""


def problem_of(error: BaseException, spec: McpSpec, status: int | None = None) -> McpProblem:
    """Describe the innermost cause in a few words; `status` is that of the last response, if it was a refusal."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    match error:
        case OSError(strerror=str(text)):
            return McpProblem(text, _about_command(spec))
        case TimeoutError() if spec.command is not None:
            return McpProblem(
                "it did not answer in time", "Run its command by hand once: uvx and npx download it at first."
            )
        case TimeoutError():
            return McpProblem("it did not answer in time", "Make sure that an MCP server is at its url.")
        case asyncio.CancelledError():
            return McpProblem("the connection broke")
    if status is not None:
        return _refused(status, spec)
    code = getattr(getattr(error, "error", None), "code", None)  # of an MCPError, whose module is slow to import
    match error:
        case UserError() if "Could not reach" in str(error):
            return McpProblem("it cannot be reached", "Make sure that it runs there, or correct its url.")
        case UserError():  # the Agents SDK keeps credentials out of its text
            return McpProblem(str(error).partition("\n")[0])
        case _ if code == CLOSED and spec.command is not None:
            return McpProblem(
                "its command ended, or wrote something else than MCP to its standard output",
                "Run it by hand: what it writes to standard error says why. Of this server's environment it gets only "
                "PATH, HOME and the like; keys belong into its env.",
            )
        case _ if isinstance(code, int):
            return McpProblem(f"its error {code}", WRONG_PATH if spec.url is not None else "")
    return McpProblem(type(error).__name__)


def _about_command(spec: McpSpec) -> str:
    if spec.command is None:
        return ""
    if spec.cwd is not None and not Path(spec.cwd).is_dir():
        return f"Its cwd {spec.cwd} is not a folder: correct it."
    return "Install its command where this server runs, or write its full path."


def _refused(status: int, spec: McpSpec) -> McpProblem:
    phrase = next((entry.phrase for entry in HTTPStatus if entry == status), "")
    reason = f"it answers {status} {phrase}".rstrip()
    match status:
        case 401 if spec.headers:
            return McpProblem(reason, "Correct the key in its headers.")
        case 401:
            return McpProblem(reason, 'It wants a key: give it headers, such as {"Authorization": "Bearer ..."}.')
        case 403 | 407:
            return McpProblem(reason, "Let the key in its headers use the server, or let the server take this host.")
        case 429 | 502 | 503 | 504:
            return McpProblem(reason, "It is tried again; if that lasts, look at its log.")
        case _ if status >= 500:
            return McpProblem(reason, "Look at its log.")
        case _ if status < 400:
            return McpProblem(reason, "Write the url to which it redirects.")
    return McpProblem(reason, WRONG_PATH)
