"""Show hosted tool calls, which the provider runs itself: web and file searches with their sources, and others."""

from collections.abc import Callable, Iterable
from typing import Any

from chatkit.icons import IconName
from chatkit.types import CustomTask, FileSource, FileTask, SearchTask, Task, URLSource

from ..models.incoming.citations import host_of, is_web_link
from .open_workflow import OpenWorkflow, TaskPosition
from .shown_items import Events
from .tool_display import humanized

OTHER_CALLS: dict[str, tuple[str, IconName]] = {
    "code_interpreter_call": ("Running code", "square-code"),
    "computer_call": ("Using a computer", "desktop"),
    "local_shell_call": ("Running a command", "square-code"),
    "shell_call": ("Running a command", "square-code"),
    "apply_patch_call": ("Changing files", "write"),
}


class HostedTools:
    """The hosted tool calls of the current response, by output index."""

    def __init__(self, workflow: OpenWorkflow, is_shown: bool) -> None:
        self._workflow = workflow
        self._is_shown = is_shown
        self._running: dict[int, TaskPosition] = {}

    def clear(self) -> None:
        """Start the next response."""
        self._running.clear()

    def start(self, event: Any) -> Events:
        """Show a call as running."""
        task = _task(event.item) if self._is_shown else None
        if task is None:
            return []
        position, events = self._workflow.add(task.model_copy(update={"status_indicator": "loading"}))
        if position is not None:
            self._running[event.output_index] = position
        return events

    def finish(self, event: Any) -> Events:
        """Show a call as complete, with its results."""
        position, task = self._running.pop(event.output_index, None), _task(event.item)
        if position is None or task is None:
            return []
        return self._workflow.change(position, task.model_copy(update={"status_indicator": "complete"}))


def _task(item: Any) -> Task | None:
    """Return the task that shows a call, or None for any other item."""
    if item.type in OTHER_CALLS:
        title, icon = OTHER_CALLS[item.type]
        return CustomTask(title=title, icon=icon)
    make = _TASKS.get(item.type)
    return make(item) if make is not None else None


def _web_search(item: Any) -> SearchTask:
    action = getattr(item, "action", None)  # missing until the call is complete
    kind, url = _field(action, "type"), str(_field(action, "url") or "")
    if kind == "open_page":
        return SearchTask(title=f"Reading {host_of(url)}", sources=_url_sources([url]))
    if kind == "find_in_page":
        title = f"Looking for “{_field(action, 'pattern')}” on {host_of(url)}"
        return SearchTask(title=title, sources=_url_sources([url]))
    query = _field(action, "query")
    queries = [str(entry) for entry in _field(action, "queries") or ([query] if query else [])]
    urls = [str(_field(source, "url")) for source in _field(action, "sources") or [] if _field(source, "url")]
    return SearchTask(
        title="Searching the web",
        title_query=query or (queries[0] if queries else None),
        queries=queries,
        sources=_url_sources(urls),
    )


def _file_search(item: Any) -> FileTask:
    queries = ", ".join(f"“{query}”" for query in item.queries or [])
    names = [_field(result, "filename") for result in item.results or []]
    return FileTask(
        title=f"Searching the files for {queries}" if queries else "Searching the files",
        sources=[FileSource(title=name, filename=name) for name in dict.fromkeys(names) if name],
    )


def _mcp_call(item: Any) -> CustomTask:
    return CustomTask(title=humanized(str(item.name)), icon="bolt")


_TASKS: dict[str, Callable[[Any], Task]] = {
    "web_search_call": _web_search,
    "file_search_call": _file_search,
    "mcp_call": _mcp_call,
}


def _url_sources(urls: Iterable[str]) -> list[URLSource]:
    """Return the sources that are web pages, without repetitions."""
    return [URLSource(title=host_of(url), url=url) for url in dict.fromkeys(urls) if is_web_link(url)]


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)
