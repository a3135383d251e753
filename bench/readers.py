"""One turn that many read: what a reader costs, and how many frames leave the server.

The stock way has nothing to compare with: there an answer has the one reader that asked for it.
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
    """CPU µs per token and reader, and frames per second to all readers, by how many and of which server."""
    cpu: Samples = {f"{c.kind}: {count}": [] for c in contenders for count in READERS}
    frames: Samples = {name: [] for name in cpu}
    for number in range(plan.crowd_rounds + 1):
        for contender, count in product(contenders, READERS):
            used, speed = await _one(contender.server, count)
            if number > 0:  # the round before them is dropped
                cpu[f"{contender.kind}: {count}"].append(used / TOKENS / count * 1e6)
                frames[f"{contender.kind}: {count}"].append(speed)
    return cpu, frames


async def _one(server: Server, count: int) -> tuple[float, float]:
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
