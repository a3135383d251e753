"""After the warm-up, the first answer builds no validators and imports none of the openai client."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from chatkit_server.startup import warm_up
from tests.serving import serve

FIRST_ANSWER = """
import asyncio, sys
from pathlib import Path

import chatkit_server.cli  # as `serve` imports everything: with validators postponed
import pydantic._internal._model_construction as construction
from chatkit_server.startup import warm_up
from tests.serving import serve
from tests.support.openai_answers import Answer
from tests.support.openai_server import OpenAIServer

built = []
stock = construction.complete_model_class

def complete(cls, *args, **options):
    built.append(cls.__name__)
    return stock(cls, *args, **options)

construction.complete_model_class = complete

async def main(api, is_warm):
    warm_up.DELAY_SECONDS = 60
    async with OpenAIServer(Answer("one two")) as upstream:
        async with serve(Path(sys.argv[3]), base_url=upstream.base_url, model="gpt-test", api=api) as served:
            if is_warm:
                await warm_up.warm_up(served.services.models)
                assert built
                built.clear()
            before = set(sys.modules)
            async with served.tab() as tab:
                await tab.list()
                await tab.create("Hello")
    print(*built, *(name for name in sys.modules if name.startswith("openai.") and name not in before))

asyncio.run(main(sys.argv[1], sys.argv[2] == "warm"))
"""


def built_and_imported(api: str, state: str, folder: Path) -> list[str]:
    """Return the classes whose validators the first answer of a process builds, and what it imports of `openai`."""
    command = [sys.executable, "-c", FIRST_ANSWER, api, state, str(folder)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
def test_the_first_answer_builds_nothing_after_the_warm_up(api: str, tmp_path: Path) -> None:
    assert built_and_imported(api, "warm", tmp_path) == []


def test_without_it_the_first_answer_builds_them(tmp_path: Path) -> None:
    assert {"ResponseCompletedEvent", "openai.resources.responses"} <= {
        *built_and_imported("responses", "cold", tmp_path)
    }


async def test_the_first_stop_builds_no_route_after_the_warm_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = list[object]()
    create = TypeAdapter.__init__

    def counting_init(adapter: Any, *arguments: Any, **options: Any) -> None:
        built.append(arguments)
        create(adapter, *arguments, **options)

    async with serve(tmp_path) as served, served.tab() as tab:
        await warm_up.warm_up(served.services.models, served.app.router.routes)
        monkeypatch.setattr(TypeAdapter, "__init__", counting_init)
        async with tab.session.post(f"{served.url}/api/turns/turn_0/stop") as response:
            assert response.status == 404
    assert built == []


async def test_an_app_warms_up_after_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warmed = asyncio.Event()

    async def note(*_: object) -> None:
        warmed.set()

    monkeypatch.setattr(warm_up, "DELAY_SECONDS", 0.0)
    monkeypatch.setattr(warm_up, "warm_up", note)
    async with serve(tmp_path), asyncio.timeout(30):
        await warmed.wait()
