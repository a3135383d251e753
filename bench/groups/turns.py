"""Short turns: what a turn costs besides its tokens, and how long the first byte and the first token take."""

import asyncio
from statistics import median

from bench.client import Client
from bench.processes import Program
from bench.rows import Row
from bench.suite import SETTLE_SECONDS, Bench, collected
from tests.databases import run_postgres

TOKENS = 5
RATE = 1000.0
"""Each token in a write of its own, the first one at once."""
NOTES = {"ours-titles": "stock makes no titles"}


async def turns(bench: Bench) -> list[Row]:
    """Compare a turn of five tokens in a new thread; after the model's own share, its first byte and first token."""
    postgres = bench.stack.enter_context(run_postgres())
    database = bench.stack.enter_context(postgres.fresh_database())
    servers = {
        **await bench.servers("stock", "ours", "relay", *["stock-uvloop"] * bench.plan.has_variants),
        "ours-titles": await bench.server("ours-titles"),
        "ours-postgres": await bench.fresh("ours-postgres", {"CHATKIT_DATABASE_URL": database}),
    }
    cpu, byte, token = (collected(list(servers)) for _ in range(3))
    for kind in bench.alternate(list(servers), bench.plan.short_rounds):
        client = Client(servers[kind].port)
        await client.turn(TOKENS, RATE)
        first_bytes, first_tokens = [], []
        with bench.measured(servers[kind]) as usage:
            for _ in range(bench.plan.turns):
                reply = await (await client.ask(tokens=TOKENS, rate=RATE)).complete()
                first_bytes.append(reply.first_byte_ms)
                first_tokens.append(reply.first_token_ms)
            await asyncio.sleep(SETTLE_SECONDS)
        reply.check(TOKENS)
        client.close()
        model_byte, model_token = await _of_the_model(bench.endpoint, bench.plan.turns)
        cpu[kind].append(usage.cpu / bench.plan.turns * 1000)
        byte[kind].append(median(first_bytes) - model_byte)
        token[kind].append(median(first_tokens) - model_token)
    plain = [kind for kind in servers if kind != "ours-titles"]
    return [
        Row("turn_cpu", "A turn of 5 tokens in a new thread", "CPU ms of the server", cpu, notes=NOTES)
        .ratio("ours", "stock", 0.45)
        .ratio("ours-postgres", "stock", 0.45),
        Row("first_byte", "First byte, added by the server", "ms", {kind: byte[kind] for kind in plain}).ratio(
            "ours", "stock", 1 / 6
        ),
        Row("first_token", "First token, added by the server", "ms", {kind: token[kind] for kind in plain}).ratio(
            "ours", "stock", 1 / 3
        ),
    ]


async def _of_the_model(endpoint: Program, count: int) -> tuple[float, float]:
    """Return the ms until the first byte and the first token of the endpoint, without a server in between."""
    client = Client(endpoint.port)
    body = {"model": "gpt-bench", "stream": True, "input": f"tokens={TOKENS} rate={RATE:g}"}
    replies = [await (await client.request("POST", "/v1/responses", body)).complete() for _ in range(count)]
    client.close()
    return median([reply.first_byte_ms for reply in replies]), median([reply.first_token_ms for reply in replies])
