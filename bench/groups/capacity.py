"""How many answers at a model's pace one core carries: more and more of them, until tokens are late."""

import asyncio
from math import isinf

from bench.client import Client
from bench.processes import Server
from bench.rows import Row
from bench.stamps import now
from bench.suite import Bench, Usage, collected, percentile, progress

LIMIT_MS = 50.0
FIRST = {"stock": 60, "ours": 200}
STARTS_PER_SECOND = {"stock": 40.0, "ours": 60.0}
"""Few enough that the starts leave the server most of its core."""
LIFETIME_SECONDS = 240.0
"""The answers last until the servers end."""
SETTLE_SECONDS = 0.5
ATTEMPTS = 2
"""Other processes can only make it worse."""


async def capacity(bench: Bench) -> list[Row]:
    """Find how many answers stock and ours carry with a p99 of the added delay below 50 ms."""
    samples, notes, rounds = collected(list(FIRST)), {}, bench.plan.few_rounds
    for kind in bench.alternate(list(FIRST), rounds):
        async with bench.starting(kind) as server:  # a new one, which ends with all its answers
            carried = await _climb(bench, server)
        samples[kind] += [float(carried)] if carried else []
        if carried * bench.plan.capacity_growth >= bench.plan.most_answers:
            notes[kind] = "no more were tried"
    for kind, values in samples.items():
        if failed := rounds - len(values):
            busy = f"{_first(bench, kind)} answers were too many in {failed} of {rounds} rounds"
            notes[kind] = f"{busy}: the machine was busy, or is too slow"
    title = f"Answers at {bench.plan.rate:g} tokens/s on one core, p99 of the added delay below {LIMIT_MS:g} ms"
    return [Row("capacity", title, "answers", samples, notes=notes).least("ours", 450)]


async def _climb(bench: Bench, server: Server) -> int:
    """Return the highest number of answers at which the delay stayed below the limit, 0 if none did."""
    plan = bench.plan
    clients: list[Client] = []
    carried, level = 0, _first(bench, server.kind)
    try:
        while await _carries(bench, server, clients, level):
            carried, level = level, int(level * plan.capacity_growth) + 1
            if level > plan.most_answers:
                break
        return carried
    finally:
        for client in clients:
            client.close()


def _first(bench: Bench, kind: str) -> int:
    """Return with how many answers the search begins."""
    return min(FIRST[kind], 10 * bench.plan.answers)


async def _carries(bench: Bench, server: Server, clients: list[Client], level: int) -> bool:
    """Start answers until there are `level`, and return whether their tokens are in time."""
    plan = bench.plan
    while len(clients) < level:
        client = Client(server.port)
        await client.ask(tokens=int(LIFETIME_SECONDS * plan.rate), rate=plan.rate)
        clients.append(client)
        await asyncio.sleep(1 / STARTS_PER_SECOND[server.kind])
    for _ in range(ATTEMPTS):
        await asyncio.sleep(SETTLE_SECONDS)
        for client in clients:
            client.forget()
        begin = now()
        with bench.measured(server) as usage:
            await asyncio.sleep(plan.capacity_seconds)
        end = now()
        await asyncio.sleep(LIMIT_MS / 1000)
        delays = _delays(clients, begin, end, level * int(plan.rate * plan.capacity_seconds - 1))
        p99 = percentile(delays, 0.99)
        shown = "more than 1% of the tokens did not arrive" if isinf(p99) else f"p99 {p99:.0f} ms"
        progress(f"    {server.kind}, {level} answers: {shown}, {_share(usage):.0%} of the core")
        if p99 <= LIMIT_MS:
            return True
    return False


def _delays(clients: list[Client], begin: int, end: int, expected: int) -> list[float]:
    """Return the delay in ms of each token sent in the window; those that have not arrived are infinitely late."""
    tokens = [token for client in clients for token in client.reply.arrivals()]
    delays = [(arrived - sent) / 1000 for sent, arrived in tokens if begin <= sent < end]
    return [*delays, *[float("inf")] * (expected - len(delays))]


def _share(usage: Usage) -> float:
    return usage.cpu / usage.seconds
