"""Group the scenarios that share servers, and run the groups."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench import crowd, flood, scenarios
from bench.crowd import Stage
from bench.login import doors
from bench.processes import Kind, upstream
from bench.readers import readers
from bench.report import Result, progress, table
from bench.scenarios import Contender, Plan, serve
from tests.databases import run_postgres


@dataclass(frozen=True)
class Bench:
    """The arguments of a group; `kinds` are the servers to compare."""

    plan: Plan
    kinds: Sequence[Kind]
    folder: Path
    stack: AsyncExitStack

    @property
    def has_ours(self) -> bool:
        return "ours" in self.kinds

    async def stage(
        self, kinds: Sequence[Kind], databases: Mapping[Kind, str] | None = None
    ) -> tuple[list[Contender], Stage]:
        """Start servers and an endpoint that stamps its tokens with the time."""
        endpoint = await self.stack.enter_async_context(upstream(self.folder, "bench.endpoint"))
        contenders = await serve(kinds, endpoint.url, self.folder, self.stack, databases)
        return contenders, Stage(endpoint, self.plan)


async def tokens(bench: Bench) -> list[Result]:
    """Measure CPU per token and turn, the first token, and memory."""
    plan = bench.plan
    model = await bench.stack.enter_async_context(upstream(bench.folder, "tests.support.openai_server"))
    memory = await scenarios.memory(bench.kinds, model.url, bench.folder, plan)
    contenders = await scenarios.start(bench.kinds, model.url, bench.folder, bench.stack)
    full_speed = await scenarios.full_speed(contenders, plan)
    first_token, turn = await scenarios.short_turns(contenders, plan, model.url)
    paced, steady = await scenarios.paced(contenders, plan)
    load = f"{plan.streams} answers at once at {plan.rate:g} tokens/s"
    return [
        Result("full_speed", f"One answer of {plan.tokens} tokens at full speed", "CPU µs per token", full_speed),
        Result("paced", f"{load}, whole turns", "CPU µs per token", paced),
        Result("steady", f"{load}, while all stream", "CPU µs per token", steady),
        Result("first_token", "First token, added by the server", "ms", first_token),
        Result("turn", "A turn of 5 tokens", "CPU ms", turn),
        Result("memory", f"{plan.idle_streams} open streams", "KiB per stream", memory),
    ]


async def delay(bench: Bench) -> list[Result]:
    """Measure the delay that a server adds to each token."""
    contenders, stage = await bench.stage([*bench.kinds, "ours-unflushed"] if bench.has_ours else bench.kinds)
    samples = await crowd.delays(contenders, stage)
    load = f"{bench.plan.crowd} turns at {bench.plan.rate:g} tokens/s"
    return [
        Result("delay_p50", f"{load}: delay added to a token, p50", "ms", samples["p50"]),
        Result("delay_p99", f"{load}: delay added to a token, p99", "ms", samples["p99"]),
        Result("delay_cpu", f"{load}", "CPU µs per token", samples["cpu"]),
        Result(
            "waited",
            "  the server waited for its core",
            "% of the time",
            samples["waited"],
            None,
        ),
        Result("load", "  used by endpoint and clients", "% of a core", samples["load"], None),
    ]


async def capacity(bench: Bench) -> list[Result]:
    """Measure how many concurrent turns one core sustains."""
    contenders, stage = await bench.stage(bench.kinds)
    turns = await crowd.capacity(contenders, stage)
    title = f"Turns at {bench.plan.rate:g} tokens/s on one core, p99 within the flush window + {crowd.LIMIT_MS:g} ms"
    return [Result("capacity", title, "turns", turns)]


async def journal(bench: Bench) -> list[Result]:
    """Measure the cost of the journal."""
    if not bench.has_ours:
        return []
    postgres = bench.stack.enter_context(run_postgres())
    kinds: list[Kind] = ["ours", "ours-no-journal", "ours-postgres", "ours-postgres-no-journal"]
    databases = {kind: bench.stack.enter_context(postgres.fresh_database()) for kind in kinds[2:]}
    contenders, stage = await bench.stage(kinds, databases)
    cost = await crowd.cpu(contenders, stage)
    title = f"The journal, {bench.plan.crowd} turns at {bench.plan.rate:g} tokens/s"
    unit = "CPU µs of the server per token"
    return [
        Result("journal_sqlite", f"{title}, SQLite", unit, {kind: cost[kind] for kind in kinds[:2]}),
        Result(
            "journal_postgres", f"{title}, PostgreSQL", unit, {kind: cost[kind] for kind in kinds[2:]}, "ours-postgres"
        ),
    ]


async def many_readers(bench: Bench) -> list[Result]:
    """Measure the cost of a reader."""
    if not bench.has_ours:
        return []
    contenders, _ = await bench.stage(["ours", "ours-unflushed"])
    cpu, frames = await readers(contenders, bench.plan)
    return [
        Result("reader_cpu", "One fast turn with 1, 10, 100 readers", "CPU µs per token and reader", cpu, None),
        Result("reader_frames", "  sent to all readers", "frames per second", frames, None),
    ]


async def beside_flood(bench: Bench) -> list[Result]:
    """Measure what a user who floods the server costs the others."""
    if not bench.has_ours:
        return []
    model = await bench.stack.enter_async_context(upstream(bench.folder, "tests.support.openai_server"))
    [contender] = await serve(["ours-limited"], model.url, bench.folder, bench.stack)
    first_token, cost = await flood.flood(contender.server, bench.plan)
    title = f"First token, alone and beside {flood.CLIENTS} clients of a user at the limit"
    return [
        Result("flood", title, "ms", first_token, flood.ALONE),
        Result("flood_cost", "  the flood meanwhile", "each", cost, None),
    ]


async def login(bench: Bench) -> list[Result]:
    """Measure what it costs to say who sends a request."""
    if not bench.has_ours:
        return []
    micros, queries = await doors(bench.folder, max(bench.plan.rounds, 3))
    return [
        Result("login", "Login: who sends a request, by mode", "CPU µs per request", micros, None),
        Result("login_queries", "  queries", "per request", queries, None),
    ]


GROUPS: dict[str, Callable[[Bench], Awaitable[list[Result]]]] = {
    "tokens": tokens,
    "delay": delay,
    "capacity": capacity,
    "journal": journal,
    "readers": many_readers,
    "login": login,
    "flood": beside_flood,
}


QUICK = tuple(name for name in GROUPS if name != "capacity")
"""The groups of a quick run: finding the capacity takes minutes."""


@dataclass
class Outcome:
    """The results so far, and the names of the groups that have none."""

    results: list[Result] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """Groups that ended with an error."""
    cut: list[str] = field(default_factory=list)
    """Groups that did not end in time, or did not start."""


async def run(
    names: Sequence[str],
    plan: Plan,
    kinds: Sequence[Kind],
    folder: Path,
    *,
    seconds: float | None = None,
    keep: Callable[[list[Result]], None] = lambda results: None,
) -> Outcome:
    """Run the groups one after another, each with its own servers, and print the table of each as it ends.

    An error in one group does not stop the others. After `seconds` in all, the rest is cut. `keep` is called with all
    results after each group.
    """
    outcome = Outcome()
    deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
    for name in names:
        progress(f"... {name}")
        try:
            async with asyncio.timeout_at(deadline) as limit, AsyncExitStack() as stack:
                await asyncio.sleep(0)  # so that no group starts after the deadline
                group = await GROUPS[name](Bench(plan, kinds, folder, stack))
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():
                progress("    no time left for this group")
                outcome.cut.append(name)
            else:
                progress(traceback.format_exc())
                outcome.failed.append(name)
        else:
            progress(f"\n{table(group)}\n")
            outcome.results += group
            keep(outcome.results)
    return outcome
