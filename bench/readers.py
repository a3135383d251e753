"""Measure one turn with many readers: the cost of a reader, and how many frames the server sends.

There is no comparison with the stock server, where an answer has only the reader that requested it.
"""

import asyncio
from collections.abc import Sequence
from itertools import product

from bench.crowd import listen
from bench.processes import Server
from bench.scenarios import SETTLE_SECONDS, Contender, Plan, Samples

READERS = (1, 10, 100)
TOKENS = 1000
RATE = 500.0
WAIT_SECONDS = 1.5


async def readers(contenders: Sequence[Contender], plan: Plan) -> tuple[Samples, Samples]:
    """Return CPU µs per token and reader, and frames per second to all readers, by server and number of readers."""
    cpu: Samples = {f"{c.kind}: {count}": [] for c in contenders for count in READERS}
    frames: Samples = {name: [] for name in cpu}
    for number in range(plan.crowd_rounds + 1):
        for contender, count in product(contenders, READERS):
            used, rate = await _measure(contender.server, count)
            if number > 0:  # the first round is a warm-up
                cpu[f"{contender.kind}: {count}"].append(used / TOKENS / count * 1e6)
                frames[f"{contender.kind}: {count}"].append(rate)
    return cpu, frames


async def _measure(server: Server, count: int) -> tuple[float, float]:
    attached = asyncio.Event()
    options = {"url": server.url, "readers": count, "tokens": TOKENS, "rate": RATE, "wait": WAIT_SECONDS}
    reading = asyncio.create_task(listen(options, attached))
    waiting = asyncio.create_task(attached.wait())
    await asyncio.wait([reading, waiting], return_when=asyncio.FIRST_COMPLETED)
    before = server.cpu_seconds()
    result = await reading
    await waiting
    await asyncio.sleep(SETTLE_SECONDS)
    return server.cpu_seconds() - before, result["frames"] / result["seconds"]
