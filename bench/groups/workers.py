"""Two workers on one PostgreSQL.

On two cores, two workers, PostgreSQL and the load do not fit side by side. So the CPU time per token and per turn is
compared: if two workers need no more of it than one, two cores carry twice as much, as long as the database does.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import psutil  # type: ignore[import-untyped]  # it ships no types

from bench.client import Client
from bench.groups.paced import crowd
from bench.machine import cpu_seconds
from bench.processes import Server
from bench.rows import Row
from bench.stamps import now
from bench.suite import SETTLE_SECONDS, Bench, collected, percentile
from tests.databases import Postgres, run_postgres

TOKENS = 5
REMOTE_ANSWERS = 10
LIMIT = 1.1
"""Within 10 % of twice one worker."""
ONE, TWO = "one worker", "two workers"
DATABASE_CPU = "CPU of PostgreSQL itself"


async def workers(bench: Bench) -> list[Row]:
    """Compare two workers with one: CPU of both, and of PostgreSQL; and readers of another worker's answer."""
    postgres = bench.stack.enter_context(run_postgres())
    database = bench.stack.enter_context(postgres.fresh_database())
    settings = {"CHATKIT_DATABASE_URL": database, "CHATKIT_SECRET": "one secret for the cookies of both workers"}
    pair = [await bench.fresh("ours-postgres", settings) for _ in range(2)]
    sets = {ONE: pair[:1], TWO: pair}
    tokens, token_database, turns, turn_database = (collected(list(sets)) for _ in range(4))
    for name in bench.alternate(list(sets), bench.plan.few_rounds):
        with _database_cpu(postgres) as used:
            usage, delays = await crowd(bench, sets[name])
        tokens[name].append(usage.cpu / len(delays) * 1e6)
        token_database[name].append(used[0] / len(delays) * 1e6)
    for name in bench.alternate(list(sets), bench.plan.short_rounds):
        with _database_cpu(postgres) as used:
            turns[name].append(await _turns(bench, sets[name]))
        turn_database[name].append(used[0] / bench.plan.worker_turns * 1000)
    cost, delay = await _remote_readers(bench, pair)
    load = f"{bench.plan.answers} answers per worker at {bench.plan.rate:g} tokens/s"
    return [
        Row("workers_token", f"{load} on PostgreSQL, all workers", "CPU µs per token", tokens).ratio(TWO, ONE, LIMIT),
        Row("workers_turn", "A turn of 5 tokens on PostgreSQL, at any of the workers, CPU of all", "ms", turns).ratio(
            TWO, ONE, LIMIT
        ),
        Row("database_token", f"{load}, with starts and ends, {DATABASE_CPU}", "µs per token", token_database),
        Row("database_turn", f"A turn of 5 tokens, {DATABASE_CPU}", "ms", turn_database),
        Row("remote_cpu", "A reader at another worker, CPU of that worker", "µs per token", {"ours": cost}),
        Row("remote_p99", "A reader at another worker, p99 of the added delay", "ms", {"ours": delay}),
    ]


async def _turns(bench: Bench, servers: Sequence[Server]) -> float:
    """Return the CPU ms of all workers for a turn at any of them.

    They take turns: at once they would disturb each other on their one core, which workers with a core each do not.
    """
    clients = [Client(server.port) for server in servers]
    each = bench.plan.worker_turns // len(clients)
    with bench.measured(*servers) as usage:
        for client in clients:
            for _ in range(each):
                await (await client.ask(tokens=TOKENS)).complete()
        await asyncio.sleep(SETTLE_SECONDS)
    for client in clients:
        client.close()
    return usage.cpu / (each * len(clients)) * 1000


async def _remote_readers(bench: Bench, pair: Sequence[Server]) -> tuple[list[float], list[float]]:
    """Return the CPU µs of the second worker per token that it passes on from the first, and the p99 of the delay."""
    first, second = pair
    costs, delays = [], []
    for _ in range(bench.plan.few_rounds):
        tokens = int(bench.plan.rate * (bench.plan.seconds + 1.0))
        own = [Client(first.port) for _ in range(REMOTE_ANSWERS)]
        answers = [await client.ask(tokens=tokens, rate=bench.plan.rate) for client in own]
        others, replies = [], []
        for client, answer in zip(own, answers, strict=True):
            await answer.began.wait()
            other = Client(second.port)
            other.cookie = client.cookie
            replies.append(await other.request("GET", f"/api/turns/{answer.header('x-chatkit-turn-id')}/events"))
            others.append(other)
        await asyncio.sleep(0.5)
        begin = now()
        with bench.measured(second) as usage:
            await asyncio.sleep(bench.plan.seconds / 2)
        end = now()
        for answer in answers:
            await answer.complete(tokens)
        streams = [(await reply.complete(tokens)).arrivals() for reply in replies]
        passed_on = [(at - sent) / 1000 for stream in streams for sent, at in stream if begin <= sent < end]
        for client in (*own, *others):
            client.close()
        costs.append(usage.cpu / len(passed_on) * 1e6)
        delays.append(percentile(passed_on, 0.99))
    return costs, delays


@contextmanager
def _database_cpu(postgres: Postgres) -> Iterator[list[float]]:
    """Yield a list that gets the CPU seconds that PostgreSQL used in the block."""
    used: list[float] = []
    before = _cpu_of(postgres)
    with ExitStack() as stack:
        stack.callback(lambda: used.append(_cpu_of(postgres) - before))
        yield used


def _cpu_of(postgres: Postgres) -> float:
    main = int((postgres.folder / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0])
    return sum(cpu_seconds(process.pid) for process in [*psutil.Process(main).children(), psutil.Process(main)])
