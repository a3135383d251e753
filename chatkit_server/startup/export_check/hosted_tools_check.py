"""The tools of an export that OpenAI runs: MCP servers, searches, code; and the secrets that the code contains."""

import ast
import re
from collections.abc import Iterator

from .export_file import Export
from .note import Edit, Note
from .syntax_tree import argument, calls, entries, text_of

_RUN_BY_OPENAI = ("FileSearchTool", "WebSearchTool", "CodeInterpreterTool", "ImageGenerationTool")
_HERE_ONLY = ("ComputerTool", "LocalShellTool", "ShellTool", "ApplyPatchTool")
_MANGLED = re.compile(r"_([a-z])")
_SECRET = re.compile(r"(sk|ek|sbp|ghp|gho|xox[abp]|pat|glpat)[-_][A-Za-z0-9_\-]{16,}|ya29\.[\w\-]{20,}")


def find_hosted_tools(export: Export) -> Iterator[Note]:
    """Yield what works as before, what OpenAI needs for it, and what the author has to do now."""
    names = [name for name in _RUN_BY_OPENAI if list(calls(export.tree, name))]
    if names:
        yield Note("ok", f"OpenAI runs {', '.join(names)} as before.")
    for name in _HERE_ONLY:
        for call in calls(export.tree, name):
            yield Note("NOTE", f"{name} acts on the server's own machine.", call.lineno)
    for call in calls(export.tree, "HostedMCPTool"):
        yield from _mcp_server(entries(argument(call, "tool_config", 0)), call.lineno)
    yield from _secrets(export)


def _mcp_server(config: dict[str, ast.expr], number: int) -> Iterator[Note]:
    label = text_of(config.get("server_label")) or "without a label"
    if url := text_of(config.get("server_url")):
        yield Note(
            "NEEDS", f"MCP server {label}: OpenAI calls {url.partition('?')[0]}, which must stay reachable.", number
        )
    elif connector := text_of(config.get("connector_id")):
        yield Note(
            "NEEDS",
            f"MCP server {label} ({connector}): an OAuth token in `authorization`. Agent Builder renewed it, the "
            "export does not.",
            number,
        )
    approval = config.get("require_approval")
    if text_of(approval) == "always" or isinstance(approval, ast.Dict):
        yield Note("ok", f"Calls of {label} ask the user for approval in the chat.", number)
    for key in (config.get("headers"),):
        for name, value in entries(key).items():
            if name.startswith("_"):
                meant = _MANGLED.sub(lambda match: match.group(1).upper(), name)
                edits = (Edit(value.lineno, f'"{name}"', f'"{meant}"'),)
                yield Note("FIX", f"The export has mangled the name of the header {meant}.", value.lineno, edits)


def _secrets(export: Export) -> Iterator[Note]:
    """Yield the places of secrets, not the secrets."""
    places = {}
    for node in ast.walk(export.tree):
        for key, value in entries(node).items() if isinstance(node, ast.Dict) else ():
            if key == "authorization" and text_of(value):
                places[value.lineno] = "`authorization`"
            if key == "headers":
                places |= {header.lineno: "A header" for header in entries(value).values() if text_of(header)}
        if isinstance(node, ast.Constant) and _SECRET.search(text_of(node) or ""):
            places.setdefault(node.lineno, "A text")
    for number, place in sorted(places.items()):
        yield Note("NOTE", f"{place} seems to contain a secret: read it with os.environ, and keep it in .env.", number)
