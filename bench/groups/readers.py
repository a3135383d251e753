"""One answer with many readers, and other users beside one who floods the server.

Nothing to compare with: an answer of the stock server has the one reader that asked for it, and it has no limits.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median

from bench.client import Client
from bench.processes import Server
from bench.rows import Row
from bench.suite import SETTLE_SECONDS, Bench, collected

TOKENS = 1000
RATE = 500.0
WAIT_SECONDS = 1.0
"""The pause of the model after its first token, in which all readers attach."""
FLOOD_CLIENTS = 50
FLOOD_SECONDS = 2.0
ALONE, BESIDE = "alone", "beside a flood"


async def readers(bench: Bench) -> list[Row]:
    """Measure the cost of a reader of a fast answer."""
    server = await bench.server("ours")
    samples = collected([f"{count} reader{'s' * (count > 1)}" for count in bench.plan.readers])
    for name in bench.alternate(list(samples), bench.plan.few_rounds):
        count = int(name.split()[0])
        samples[name].append(await _answer(bench, server, count))
    return [Row("readers", f"One answer at {RATE:g} tokens/s, by readers", "CPU µs per token and reader", samples)]


async def _answer(bench: Bench, server: Server, count: int) -> float:
    client = Client(server.port)
    answer = await client.ask(tokens=TOKENS, rate=RATE, wait=WAIT_SECONDS)
    await answer.began.wait()
    path = f"/api/turns/{answer.header('x-chatkit-turn-id')}/events"
    others = [Client(server.port) for _ in range(count - 1)]
    replies = [answer]
    for other in others:
        other.cookie = client.cookie
        replies.append(await other.request("GET", path))
        await replies[-1].began.wait()
    with bench.measured(server) as usage:
        for reply in replies:
            await reply.complete()
        await asyncio.sleep(SETTLE_SECONDS)
    for reply in replies:
        reply.check(TOKENS)
    for each in (client, *others):
        each.close()
    return usage.cpu / TOKENS / count * 1e6


@dataclass
class Flood:
    """A running flood."""

    refused: int = 0


async def flood(bench: Bench) -> list[Row]:
    """Measure what a user at the limit who posts on costs the others."""
    server = await bench.server("ours-limited")
    first_token = collected((ALONE, BESIDE))
    cost = collected(("refusals per second", "CPU of the server, % of a core"))
    for _ in range(bench.plan.few_rounds):
        first_token[ALONE].append(await _first_token(bench, server))
        async with _flooding(server) as running:
            first_token[BESIDE].append(await _first_token(bench, server))
            refused = running.refused
            with bench.measured(server) as usage:
                await asyncio.sleep(FLOOD_SECONDS)
            cost["refusals per second"].append((running.refused - refused) / usage.seconds)
            cost["CPU of the server, % of a core"].append(usage.cpu / usage.seconds * 100)
    title = f"First token, alone and beside {FLOOD_CLIENTS} clients of a user at the limit"
    return [Row("flood", title, "ms", first_token), Row("flood_cost", "The flood", "each", cost)]


async def _first_token(bench: Bench, server: Server) -> float:
    """Return the ms that a new user waits; each is another one, so that none reaches a limit."""
    times = []
    for _ in range(2 * bench.plan.turns):
        client = Client(server.port)
        times.append((await client.turn(5, 1000.0)).first_token_ms)
        client.close()
    return median(times)


@asynccontextmanager
async def _flooding(server: Server) -> AsyncIterator[Flood]:
    running = Flood()
    user = Client(server.port)
    await user.turn(5, 1000.0)  # gets the cookie
    clients = [asyncio.create_task(_post_for_ever(server, user.cookie, running)) for _ in range(FLOOD_CLIENTS)]
    await asyncio.sleep(FLOOD_SECONDS)  # the first posts are answered, or refused by the database
    try:
        yield running
    finally:
        for client in clients:
            client.cancel()
        await asyncio.wait(clients)
        user.close()


async def _post_for_ever(server: Server, cookie: str, running: Flood) -> None:
    client = Client(server.port)
    client.cookie = cookie
    try:
        while True:
            reply = await (await client.ask(tokens=5, rate=1000.0)).complete()
            running.refused += b" 429 " in reply.data[:20]
    finally:
        client.close()
