"""Memory and the start of a server."""

import asyncio

from bench.client import Client
from bench.processes import Server
from bench.rows import Row
from bench.suite import Bench, collected, progress, settle, slope

FIRST_ANSWERS = 40
"""Open before the measurement: they use what the server has freed before."""
WAIT_SECONDS = 300
FIRST_CLIENTS, CLIENTS = 12, 8
"""A few more before the measurement: the heap is then as large as it needs to be, and has little room for a leak."""
TOKENS = 5
PADDING = "As long as a message with which the page caches of the database are soon full. " * 100
KIBIBYTE, MEBIBYTE = 1024, 1024 * 1024


async def memory(bench: Bench) -> list[Row]:
    """Measure idle memory, memory per open answer, and how long a server takes to listen."""
    kinds = ("stock", "ours", "relay")
    idle, answers, seconds, cpu = (collected(kinds) for _ in range(4))
    for kind in bench.alternate(kinds, bench.plan.few_rounds):
        async with bench.starting(kind) as server:
            seconds[kind].append(server.start_seconds)
            cpu[kind].append(server.start_cpu)
            await settle(server)
            idle[kind].append(server.memory_bytes() / MEBIBYTE)
            answers[kind].append(await _open_answers(bench, server))
    return [
        Row("idle", "Idle, after the start", "MiB", idle),
        Row("open", "An open answer", "KiB", answers).ratio("ours", "stock", 0.8),
        Row("start", "From the start until it listens", "s", seconds).most("ours", 1.5),
        Row("start_cpu", "From the start until it listens", "CPU s", cpu),
    ]


async def _open_answers(bench: Bench, server: Server) -> float:
    clients: list[Client] = []
    memory = []
    for count in (min(FIRST_ANSWERS, bench.plan.open_answers), bench.plan.open_answers):
        for _ in range(count):
            client = Client(server.port)
            reply = await client.ask(tokens=TOKENS, wait=WAIT_SECONDS)
            await reply.first_token()
            clients.append(client)
        await settle(server)
        memory.append(server.private_bytes())
    for client in clients:
        client.close()
    return (memory[1] - memory[0]) / bench.plan.open_answers / KIBIBYTE


async def growth(bench: Bench) -> list[Row]:
    """Measure whether memory still grows once a server has run some turns."""
    plan = bench.plan
    memory: list[float] = []
    totals: dict[str, list[float]] = {}
    each = max(1, (plan.many_turns - plan.first_turns) // plan.growth_samples)
    async with bench.starting("ours") as server:
        await _turns_at_once(server, plan.first_turns, FIRST_CLIENTS, PADDING)
        for number in range(plan.growth_samples + 1):
            if number:
                await _turns_at_once(server, each, CLIENTS)
            await settle(server)
            memory.append(server.private_bytes() / KIBIBYTE)
            if number in (0, plan.growth_samples // 2, plan.growth_samples):
                turns = plan.first_turns + number * each
                totals[f"{turns:,} turns"] = [server.memory_bytes() / MEBIBYTE]
                progress(f"    {turns:,} turns: {server.memory_bytes() / MEBIBYTE:.1f} MiB")
    title = f"Memory that a turn leaves behind, after the first {plan.first_turns:,}"
    trend = {"ours": [slope(memory) / each]}
    return [Row("rss", "Memory", "MiB", totals), Row("rss_growth", title, "KiB", trend).most("ours", 0.5)]


async def _turns_at_once(server: Server, count: int, clients: int, padding: str = "") -> None:
    """Run turns of so many users at once, in new threads; their messages begin with `padding`."""
    await asyncio.gather(*(_many(server, max(1, count // clients), padding) for _ in range(clients)))


async def _many(server: Server, count: int, padding: str) -> None:
    client = Client(server.port)
    for _ in range(count):
        await (await client.ask(padding=padding, tokens=TOKENS)).complete(TOKENS)
    client.close()
