"""The conversations that are tried with each endpoint: an ability, then a second and a third turn."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agents import Agent, function_tool

from chatkit_server import create_app
from tests.conformance.endpoints import Endpoint
from tests.conformance.server import LONG, THOUGHTS, EndpointServer
from tests.serving import Tab, make_settings
from tests.support.chatkit import Json, user_input
from tests.support.live_server import live

HELLO = ("Say hello", "Hello.")
ROME = ("What is the weather in Rome", "It is sunny in Rome.")
OSLO = ("What is the weather in Oslo", "It is sunny in Oslo.")
BOTH = ("What is the weather in Rome and in Oslo", "It is sunny in Rome and sunny in Oslo.")
BROKEN = ("Make a broken call", "I made a mistake.")
THINK = ("Please think", "Hello.")
STOPPED = ("Tell something long", None)
FAILED = ("Please fail", None)
FAILED_LATE = ("What is the weather in Rome? Then fail", None)
CUT = ("Be cut in the middle", None)

YES = "yes"
NOT_OFFERED = "–"


@dataclass(frozen=True)
class Ability:
    """Questions with the answers that the user has to get. Without an answer, the turn fails or is stopped."""

    name: str
    turns: Sequence[tuple[str, str | None]]
    needs_thoughts: bool = False


ABILITIES = [
    Ability("text", [HELLO, HELLO, ROME]),
    Ability("tool", [ROME, HELLO, OSLO]),
    Ability("two parallel tools", [BOTH, ROME, BOTH]),
    Ability("broken tool arguments", [BROKEN, HELLO, ROME]),
    Ability("reasoning", [THINK, ROME, THINK], needs_thoughts=True),
    Ability("stop", [STOPPED, HELLO, ROME]),
    Ability("failure", [FAILED, HELLO, ROME]),
    Ability("failure after a tool", [FAILED_LATE, HELLO, ROME]),
    Ability("cut stream", [CUT, HELLO, ROME]),
]


@function_tool
def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return f"sunny in {city}"


async def try_endpoint(server: EndpointServer, endpoint: Endpoint, folder: Path) -> dict[str, str]:
    """Return for each ability whether it works, or what went wrong."""
    async with _app(server, endpoint, folder) as url, Tab(url) as tab:
        return {ability.name: await _try(endpoint, tab, ability) for ability in ABILITIES}


@asynccontextmanager
async def _app(server: EndpointServer, endpoint: Endpoint, folder: Path) -> AsyncIterator[str]:
    settings = make_settings(
        folder,
        model="m",
        base_url=server.url(endpoint),
        database_url=f"sqlite:///{folder / endpoint.path}.db",
        api=endpoint.api,
        model_retries=0,
        show_tools=True,
    )
    agent = Agent(name="Weather", instructions="Be brief.", tools=[get_weather])
    async with live(create_app(settings, agent)) as url:
        yield url


async def _try(endpoint: Endpoint, tab: Tab, ability: Ability) -> str:
    if ability.needs_thoughts and endpoint.shape.think is None:
        return NOT_OFFERED
    thread_id: str | None = None
    for number, (question, answer) in enumerate(ability.turns, 1):
        try:
            thread_id = await _turn(tab, thread_id, question, answer)
            if ability.needs_thoughts and question == THINK[0]:
                _expect(THOUGHTS in _thoughts(tab.pictures[thread_id].items), "the thoughts are not shown")
        except AssertionError as error:
            return f"no: turn {number}: {error}"
    return YES


async def _turn(tab: Tab, thread_id: str | None, question: str, answer: str | None) -> str:
    """Ask, check what the user gets, and return the thread's id."""
    if question == STOPPED[0]:
        return await _stop(tab, question)
    reply = await (tab.create(question) if thread_id is None else tab.send(thread_id, question))
    if answer is None:
        _expect(reply.error is not None and reply.error.get("allow_retry"), "the failure cannot be retried")
    else:
        _expect(reply.error is None, str(reply.error and reply.error["message"]))
        _expect(reply.text == answer, f"the answer is {reply.text!r}")
    return reply.thread_id


async def _stop(tab: Tab, question: str) -> str:
    """Ask, and stop the answer once its text has begun."""
    async with tab.open("threads.create", {"input": user_input(question)}) as reply:
        await reply.wait_for("assistant_message.content_part.text_delta")
        async with tab.session.post(f"{tab.base_url}/api/threads/{reply.thread_id}/stop", json={}) as response:
            _expect(response.status == 200, "the answer cannot be stopped")
        await reply.read()
    _expect(reply.error is None, "the stopped answer failed")
    _expect(reply.text and LONG.startswith(reply.text.strip()), f"the stopped answer is {reply.text!r}")
    return reply.thread_id


def _thoughts(items: Sequence[Json]) -> str:
    tasks = (task for item in items if item["type"] == "workflow" for task in item["workflow"]["tasks"])
    return "\n".join(task.get("content") or "" for task in tasks if task["type"] == "thought")


def _expect(is_right: object, fault: str) -> None:
    if not is_right:
        raise AssertionError(fault)


@asynccontextmanager
async def quiet() -> AsyncIterator[None]:
    """Log nothing: the failures are provoked."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
