"""Measure what a user who floods the server costs the others: their time to the first token, without and with it.

The flood is a closed loop of clients that all have one user's cookie: each posts again as soon as it is answered.
"""

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.load import Load
from bench.processes import Server
from bench.scenarios import SHORT, SHORT_RATE, Plan, Samples

CLIENTS = 50
ALONE, BESIDE = "alone", "beside a flood"
SETTLE_SECONDS = 3.0
"""The first posts of a flood are answered or refused by the database."""


@dataclass
class Flood:
    """A running flood."""

    answered: int = 0
    refused: int = 0


async def flood(server: Server, plan: Plan) -> tuple[Samples, Samples]:
    """Return milliseconds to the first token of other users, and the flood's refusals per second with their CPU."""
    first_token: Samples = {ALONE: [], BESIDE: []}
    cost: Samples = {"refusals per second": [], "CPU of the server, % of a core": []}
    await _first_token(server)  # warms up
    for _ in range(plan.rounds):
        first_token[ALONE].append(await _median(server, plan))
        async with _flooding(server) as running:
            first_token[BESIDE].append(await _median(server, plan))
            await _cost(server, running, cost)
    return first_token, cost


async def _median(server: Server, plan: Plan) -> float:
    return statistics.median([await _first_token(server) for _ in range(2 * plan.short_turns)])


async def _first_token(server: Server) -> float:
    """Return the milliseconds that a new user waits; each is another one, so that none reaches a limit."""
    async with Load(server.url) as user:
        return (await user.turn(SHORT, SHORT_RATE)).first_token * 1000


async def _cost(server: Server, running: Flood, cost: Samples) -> None:
    seconds, refused, cpu = 2.0, running.refused, server.cpu_seconds()
    await asyncio.sleep(seconds)
    cost["refusals per second"].append((running.refused - refused) / seconds)
    cost["CPU of the server, % of a core"].append((server.cpu_seconds() - cpu) / seconds * 100)


@asynccontextmanager
async def _flooding(server: Server) -> AsyncIterator[Flood]:
    running = Flood()
    async with Load(server.url) as user:
        await user.turn(SHORT, SHORT_RATE)  # gets the cookie
        clients = [asyncio.create_task(_post_for_ever(user, running)) for _ in range(CLIENTS)]
        await asyncio.sleep(SETTLE_SECONDS)
        try:
            yield running
        finally:
            for client in clients:
                client.cancel()
            await asyncio.wait(clients)


async def _post_for_ever(user: Load, running: Flood) -> None:
    while True:
        if await user.is_refused(SHORT, SHORT_RATE):
            running.refused += 1
        else:
            running.answered += 1
