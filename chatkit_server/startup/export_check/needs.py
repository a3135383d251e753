"""What an export needs outside of its file: keys, packages, variables, and what is stored in OpenAI's project."""

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

from ...models.provider_choice import is_openai
from .export_file import Export
from .note import Note
from .syntax_tree import argument, calls, dotted, entries, text_of

_DISTRIBUTIONS = {
    "guardrails": "openai-guardrails",
    "dotenv": "python-dotenv",
    "yaml": "pyyaml",
    "bs4": "beautifulsoup4",
}
"""Packages by the module that exports import, where the names differ."""
_STORED = {
    "vs_": "Vector stores of the OpenAI project",
    "file-": "Files of the OpenAI project",
    "pmpt_": "Prompts of the OpenAI project",
}
_ID = re.compile(r"(vs_|file-|pmpt_)[A-Za-z0-9]{10,}")


def find_needs(export: Export, directory: Path, variables: Mapping[str, str]) -> Iterator[Note]:
    """Yield what must exist for the export to work. `variables` are those of the environment and the `.env` file."""
    yield _key(variables)
    if models := dict.fromkeys([*_models_of_agents(export), *_models_of_guardrails(export)]):
        yield Note("NEEDS", f"Models that the key can use: {', '.join(models)}.")
    yield from _stored_objects(export)
    yield from _packages(export, directory)
    yield from find_guardrails(export)
    yield from _variables(export, variables)


def _models_of_agents(export: Export) -> Iterator[str]:
    for agent in calls(export.tree, "Agent"):
        if (model := text_of(argument(agent, "model"))) is not None:
            yield model


def _models_of_guardrails(export: Export) -> Iterator[str]:
    for guardrail in _guardrail_entries(export):
        config = entries(guardrail).get("config")
        if isinstance(config, ast.Dict) and (model := text_of(entries(config).get("model"))) is not None:
            yield model


def _key(variables: Mapping[str, str]) -> Note:
    name = "CHATKIT_BASE_URL" if variables.get("CHATKIT_BASE_URL") else "OPENAI_BASE_URL"
    if (base_url := variables.get(name)) and not is_openai(base_url):
        return Note(
            "NEEDS",
            f"{name} names an endpoint other than OpenAI's: the models of the export must exist there, and hosted "
            "tools (file search, web search, code interpreter, hosted MCP) mostly do not.",
        )
    if variables.get("OPENAI_API_KEY"):
        return Note("ok", "OPENAI_API_KEY is set; it must belong to the project of the workflow.")
    return Note("NEEDS", "OPENAI_API_KEY is not set: a key of the project of the workflow, in .env or the environment.")


def _stored_objects(export: Export) -> Iterator[Note]:
    """Yield the ids of what is stored at OpenAI, as far as the code names it."""
    texts = [text for node in ast.walk(export.tree) if isinstance(node, ast.Constant) and (text := text_of(node))]
    for prefix, title in _STORED.items():
        ids = [text for text in dict.fromkeys(texts) if text.startswith(prefix) and _ID.fullmatch(text)]
        if ids:
            yield Note("NEEDS", f"{title}, which other projects' keys cannot read: {', '.join(ids)}.")


def _packages(export: Export, directory: Path) -> Iterator[Note]:
    for name, number in _imports(export).items():
        is_local = (directory / f"{name}.py").exists() or (directory / name).is_dir()
        if is_local or name in sys.stdlib_module_names:
            continue
        wanted = _DISTRIBUTIONS.get(name)
        if wanted == "openai-guardrails":
            installed = wanted in packages_distributions().get(name, [])  # another package has a module of this name
        else:
            installed = importlib.util.find_spec(name) is not None
        if not installed:
            package = f"pip install {wanted}" if wanted else f"install the package that has the module `{name}`"
            yield Note("NEEDS", f"`{name}` cannot be imported: {package}.", number)


def _imports(export: Export) -> dict[str, int]:
    """Return the top-level names of what is imported, with the line."""
    lines: dict[str, int] = {}
    for node in ast.walk(export.tree):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), level=0):
                modules = [module]
            case _:
                continue
        for module in modules:
            lines.setdefault(module.partition(".")[0], node.lineno)
    return lines


def _guardrail_entries(export: Export) -> list[ast.expr]:
    """Return the guardrails' settings."""
    lists = [entries(node).get("guardrails") for node in ast.walk(export.tree) if isinstance(node, ast.Dict)]
    return [node for value in lists if isinstance(value, ast.List) for node in value.elts]


def find_guardrails(export: Export) -> Iterator[Note]:
    """Yield the guardrails, and what one of them needs beyond the package."""
    guardrails = _guardrail_entries(export)
    places = {kind: node.lineno for node in guardrails if (kind := text_of(entries(node).get("name"))) is not None}
    if places:
        yield Note("ok", f"Guardrails, which run in the server's process: {', '.join(places)}.")
    if (number := places.get("Contains PII")) is not None and importlib.util.find_spec("en_core_web_sm") is None:
        text = "The guardrail Contains PII needs a model of spaCy: python -m spacy download en_core_web_sm."
        yield Note("NEEDS", text, number)


def _variables(export: Export, variables: Mapping[str, str]) -> Iterator[Note]:
    read: dict[str, int] = {}
    for call in calls(export.tree, "getenv", "get"):
        if dotted(call.func) in {"os.getenv", "getenv", "os.environ.get", "environ.get"} and call.args:
            read.setdefault(text_of(call.args[0]) or "", call.lineno)
    for node in ast.walk(export.tree):
        if isinstance(node, ast.Subscript) and dotted(node.value) in {"os.environ", "environ"}:
            read.setdefault(text_of(node.slice) or "", node.lineno)
    for name, number in read.items():
        if name and name != "OPENAI_API_KEY" and not variables.get(name):
            yield Note("NEEDS", f"The variable {name} is not set.", number)
