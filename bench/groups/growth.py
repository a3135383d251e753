"""Whether a turn costs more with more rows in the table, items in the thread, or turns by the same user."""

import asyncio
from collections.abc import Sequence

from bench.client import Client
from bench.processes import Server
from bench.rows import Row
from bench.seeding import ITEMS_OF_A_TURN, add_turns, copy, seeded, settings_of
from bench.suite import SETTLE_SECONDS, Bench, collected, progress

TOKENS = 5
RATE = 1000.0
FLAT = 1.15
"""The median of a row that does not grow may be higher by so much, since samples vary."""
TURNS_IN_A_THREAD = 5
"""Turns of a sample in a long thread, which they make longer."""
UNIT = "CPU ms per turn"


async def rows(bench: Bench) -> list[Row]:
    """Compare a turn of five tokens beside more and more items of other users."""
    folder = await seeded(bench)
    source, servers, items = folder / "turn.db", {}, 0
    for size in bench.plan.items:
        database = copy(source, folder / f"rows-{size}.db")
        add_turns(database, f"r{size}", "'other_' || (thread / 10)", (size - items) // ITEMS_OF_A_TURN)
        source, items = database, size
    progress("    seeded")
    for size in bench.plan.items:
        servers[f"{size:,} items"] = await bench.fresh("ours", settings_of(folder / f"rows-{size}.db"))
    samples = collected(list(servers))
    for server in servers.values():
        await _turns(bench, server, "first")  # reads its database for the first time
    for number, name in enumerate(bench.alternate(list(servers), bench.plan.short_rounds)):
        samples[name].append(await _turns(bench, servers[name], f"new-{number}"))
    row = Row("rows", "A turn of 5 tokens, by rows in thread_items", UNIT, samples)
    first, *_, last = servers
    return [row.ratio(last, first, FLAT)]


async def user(bench: Bench) -> list[Row]:
    """Compare a turn of five tokens of a new user, and of one with many earlier turns."""
    folder = await seeded(bench)
    database = copy(folder / "turn.db", folder / "user.db")
    add_turns(database, "busy", "'busy'", bench.plan.user_turns)
    server = await bench.fresh("ours", settings_of(database))
    new, busy = "a new user", f"{bench.plan.user_turns:,} earlier turns"
    samples = collected([new, busy])
    await _turns(bench, server, "busy")  # reads the database for the first time
    for number, name in enumerate(bench.alternate([new, busy], bench.plan.short_rounds)):
        samples[name].append(await _turns(bench, server, "busy" if name == busy else f"new-{number}"))
    return [Row("user", "A turn of 5 tokens, by earlier turns of the user", UNIT, samples).ratio(busy, new, FLAT)]


async def thread(bench: Bench) -> list[Row]:
    """Compare turns of one token in threads of more and more items, from the second turn of a thread on."""
    folder, plan = await seeded(bench), bench.plan
    database = copy(folder / "turn.db", folder / "thread.db")
    for size in plan.thread_items:
        turns = size // ITEMS_OF_A_TURN
        add_turns(database, f"t{size}", "'reader'", turns * plan.short_rounds, turns)  # a new thread for each round
    sizes = ",".join(
        f"thr_t{size}_{number}={size}" for size in plan.thread_items for number in range(plan.short_rounds)
    )
    servers = {
        "ours": await bench.fresh("ours", settings_of(database)),
        "stock": await bench.fresh("stock", {"BENCH_THREADS": sizes}),
    }
    names = {f"{kind}, {size:,} items": (kind, size) for size in plan.thread_items for kind in servers}
    samples = collected(list(names))
    for name in bench.alternate(list(names), plan.short_rounds):
        kind, size = names[name]
        thread_id = f"thr_t{size}_{len(samples[name])}"
        samples[name].append(await _turns_in(bench, servers[kind], thread_id))
    row = Row("thread", "A turn of 1 token, by items of the thread; stock tells the model 20", UNIT, samples)
    smallest, *larger = (f"ours, {size:,} items" for size in plan.thread_items)
    for name in larger:
        row.ratio(name, smallest, 1.5)
    return [row]


async def _turns(bench: Bench, server: Server, name: str) -> float:
    client = Client(server.port, name)
    await client.turn(TOKENS, RATE)
    return await _cost(bench, server, client, [None] * bench.plan.turns, TOKENS)


async def _turns_in(bench: Bench, server: Server, thread_id: str) -> float:
    client = Client(server.port, "reader")
    await client.turn(1, thread=thread_id)
    return await _cost(bench, server, client, [thread_id] * min(TURNS_IN_A_THREAD, bench.plan.turns), 1)


async def _cost(bench: Bench, server: Server, client: Client, threads: Sequence[str | None], tokens: int) -> float:
    """Return the CPU ms of a turn in each of the threads, None for a new one."""
    with bench.measured(server) as usage:
        for thread_id in threads:
            reply = await (await client.ask(thread_id, tokens=tokens, rate=RATE)).complete()
        await asyncio.sleep(SETTLE_SECONDS)
    reply.check(tokens)
    client.close()
    return usage.cpu / len(threads) * 1000
