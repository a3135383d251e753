"""A file search of an exported workflow reads the pages of its asynchronous client."""

import ast
import textwrap
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI, OpenAI

from chatkit_server.agents.async_search import search_async

PAGE = {
    "object": "vector_store.search_results.page",
    "search_query": ["orders"],
    "data": [{"file_id": f"file-{n}", "filename": f"{n}.md", "score": 0.5, "content": []} for n in range(2)],
    "has_more": False,
    "next_page": None,
}


def client(kind: type[AsyncOpenAI] = AsyncOpenAI) -> AsyncOpenAI:
    """Return a client whose requests are answered without a network."""
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=PAGE))
    return kind(api_key="sk-test", http_client=httpx2.AsyncClient(transport=transport))


def compiled(source: str, names: dict[str, Any]) -> tuple[bool, Any]:
    """Return whether the function was changed, and the function."""
    module = ast.parse(textwrap.dedent(source))
    (definition,) = module.body
    assert isinstance(definition, ast.AsyncFunctionDef)
    changed = search_async(definition, names)
    exec(compile(ast.fix_missing_locations(module), "export.py", "exec"), names)
    return changed, names[definition.name]


SEARCHES = [
    """
    async def search():
        return { "results": [
            {
                "id": result.file_id,
            } for result in client.vector_stores.search(vector_store_id="vs_1", query="orders", max_num_results=10)
        ]}["results"]
    """,
    """
    async def search():
        found = []
        for result in client.vector_stores.search(vector_store_id="vs_1", query="orders"):
            for name in ["id"]:
                found.append({name: result.file_id})
        else:
            found.sort(key=str)
        return found
    """,
    """
    async def search():
        if True:
            with open("/dev/null"):
                by_id = {result.file_id: result for result in client.vector_stores.search("vs_1", query="orders")}
        return [{"id": id} for id in by_id]
    """,
]


@pytest.mark.parametrize("source", SEARCHES)
async def test_a_search_as_exported_reads_all_pages(source: str) -> None:
    async with client() as openai:
        changed, search = compiled(source, {"client": openai})
        assert changed
        assert await search() == [{"id": "file-0"}, {"id": "file-1"}]


UNCHANGED = [
    'async def f(): return [r async for r in client.vector_stores.search("vs_1", query="x")]',
    "async def f(): return [r for r in client.names()]",
    "async def f(): return [r for r in client]",
    "async def f(): return [r for r in other.vector_stores.search('vs_1', query='x')]",
    "async def f(): return [r for r in missing.vector_stores.search('vs_1', query='x')]",
    "async def f(): return [r for r in client.nonsense.search('x')]",
    "async def f(): return [r for r in client.vector_stores.retrieve('x')]",
    "async def f(): return [r for r in (await client.vector_stores.search('vs_1', query='x')).data]",
    "async def f(): return sum(r for r in client.vector_stores.search('vs_1', query='x'))",
    "async def f():\n    def g(): return [r for r in client.vector_stores.search('vs_1', query='x')]",
]


@pytest.mark.parametrize("source", UNCHANGED)
async def test_other_loops_stay_as_they_are(source: str) -> None:
    async with client() as openai:
        with OpenAI(api_key="sk-test") as other:
            assert not compiled(source, {"client": openai, "other": other})[0]
