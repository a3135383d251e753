"""Memory and the start of a server."""

import asyncio

from bench.client import Client
from bench.processes import Server
from bench.rows import Row
from bench.suite import Bench, collected, progress, settle

FIRST_ANSWERS = 40
"""Open before the measurement: they use what the server has freed before."""
WAIT_SECONDS = 300
CLIENTS = 8
TOKENS = 5
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
        memory.append(server.memory_bytes())
    for client in clients:
        client.close()
    return (memory[1] - memory[0]) / bench.plan.open_answers / KIBIBYTE


async def growth(bench: Bench) -> list[Row]:
    """Measure whether memory grows with the turns that a server has run."""
    turns = bench.plan.many_turns
    marks = (turns // 5, turns * 3 // 5, turns)
    memory: list[float] = []
    async with bench.starting("ours") as server:
        for before, mark in zip((0, *marks), marks, strict=False):
            await asyncio.gather(*(_many(server, (mark - before) // CLIENTS + 1) for _ in range(CLIENTS)))
            await settle(server)
            memory.append(server.memory_bytes() / KIBIBYTE)
            progress(f"    {mark:,} turns: {memory[-1] / KIBIBYTE:.1f} MiB")
    samples = {f"{mark:,} turns": [value / KIBIBYTE] for mark, value in zip(marks, memory, strict=True)}
    grown = (memory[2] - memory[1]) / (marks[2] - marks[1])
    title = f"Memory that a turn leaves behind, after the first {marks[1]:,}"
    return [Row("rss", "Memory", "MiB", samples), Row("rss_growth", title, "KiB", {"ours": [grown]}).most("ours", 0.5)]


async def _many(server: Server, count: int) -> None:
    client = Client(server.port)
    for _ in range(count):
        await client.turn(TOKENS)
    client.close()
