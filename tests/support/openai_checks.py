"""Routes of the fake provider beside its models: searches in vector stores, and moderation."""

import json
from typing import Any

from aiohttp import web


class ProviderChecks:
    """Answers searches with `found`, and flags texts that contain `flagged`. Keeps what it was asked."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []
        self.flagged = "hurt"
        self.searches: list[tuple[str, Any]] = []
        """The vector store and the query of each search."""

    def add_to(self, app: web.Application) -> None:
        app.router.add_post("/v1/vector_stores/{id}/search", self._search)
        app.router.add_post("/v1/moderations", self._moderate)

    async def _search(self, http: web.Request) -> web.Response:
        query = json.loads(await http.read())["query"]
        self.searches.append((http.match_info["id"], query))
        found = [{"attributes": {}, "content": [{"type": "text", "text": "…"}], **result} for result in self.found]
        page = {"object": "vector_store.search_results.page", "search_query": [query], "data": found}
        return web.json_response(page | {"has_more": False, "next_page": None})

    async def _moderate(self, http: web.Request) -> web.Response:
        is_flagged = self.flagged in json.loads(await http.read())["input"]
        result = {
            "flagged": is_flagged,
            "categories": {"violence": is_flagged},
            "category_scores": {"violence": float(is_flagged)},
            "category_applied_input_types": {"violence": ["text"]},
        }
        return web.json_response({"id": "modr-1", "model": "omni-moderation-latest", "results": [result]})
