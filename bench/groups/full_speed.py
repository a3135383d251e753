"""One answer as fast as the model sends it: CPU per token, of the whole turn."""

import asyncio

from bench.client import Client
from bench.rows import Row
from bench.suite import SETTLE_SECONDS, Bench, collected

LIMIT = 1 / 20
VARIANTS = ("ours-slow-path",)
SHORT_TOKENS = 10_000
"""A sample has at least so many tokens."""


async def full_speed(bench: Bench) -> list[Row]:
    """Compare stock, ours with and without the fast path, and the relay."""
    kinds = bench.available(("stock", "ours", "relay", *VARIANTS * bench.plan.has_variants))
    servers = await bench.servers(*kinds)
    rows = []
    for tokens in bench.plan.long_answers:
        samples = collected(kinds)
        turns = max(1, min(SHORT_TOKENS // tokens, bench.plan.turns))
        for kind in bench.alternate(kinds, bench.plan.rounds if turns > 1 else bench.plan.few_rounds):
            client = Client(servers[kind].port)
            with bench.measured(servers[kind]) as usage:
                replies = [await (await client.ask(tokens=tokens)).complete() for _ in range(turns)]
                await asyncio.sleep(SETTLE_SECONDS)
            samples[kind].append(usage.cpu / tokens / turns * 1e6)
            for reply in replies:
                reply.check(tokens)
            client.close()
        title = f"One answer of {tokens:,} tokens at full speed"
        rows.append(Row(f"full_{tokens}", title, "CPU µs per token", samples).ratio("ours", "stock", LIMIT))
    return rows
