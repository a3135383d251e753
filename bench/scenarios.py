"""What is measured. Each scenario gives one sample per round and server; the rounds of the servers alternate."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.load import RAMP_SECONDS, Load
from bench.processes import Kind, Server, server

Samples = dict[str, list[float]]
"""By the server's kind, in one scenario with how many readers it has."""

SETTLE_SECONDS = 0.3  # work after the last byte (saving, closing) belongs to the turn
SHORT = 5
SHORT_RATE = 1000.0  # a write of its own for each token, the first one at once
IDLE_TOKENS = 10
EDGE_SECONDS = 0.3


@dataclass(frozen=True)
class Plan:
    """How much of everything."""

    tokens: int
    round_tokens: int
    rounds: int
    streams: int
    rate: float
    seconds: float
    short_turns: int
    idle_streams: int
    crowd: int
    crowd_rounds: int


@dataclass(frozen=True)
class Contender:
    """A server with a client of its own."""

    server: Server
    load: Load

    @property
    def kind(self) -> Kind:
        return self.server.kind

    async def cpu_each(self, work: Callable[[], Awaitable[int]]) -> float:
        """CPU µs of the server for each of the things (tokens, turns) that `work` counts."""
        before = self.server.cpu_seconds()
        count = await work()
        await asyncio.sleep(SETTLE_SECONDS)
        return (self.server.cpu_seconds() - before) / count * 1e6


async def serve(
    kinds: Sequence[Kind],
    model_url: str,
    folder: Path,
    stack: AsyncExitStack,
    databases: Mapping[Kind, str] | None = None,
) -> list[Contender]:
    """All servers, running; `databases` are URLs of those that are not to take SQLite."""
    urls = databases or {}
    servers = await asyncio.gather(
        *(stack.enter_async_context(server(kind, model_url, folder, urls.get(kind))) for kind in kinds)
    )
    return [Contender(s, await stack.enter_async_context(Load(s.url))) for s in servers]


async def start(kinds: Sequence[Kind], model_url: str, folder: Path, stack: AsyncExitStack) -> list[Contender]:
    """All servers, running and warm."""
    contenders = await serve(kinds, model_url, folder, stack)
    await asyncio.gather(*(_warm_up(contender.load) for contender in contenders))
    return contenders


async def full_speed(contenders: Sequence[Contender], plan: Plan) -> Samples:
    """CPU µs per token of one answer after another, each as fast as the model's server sends."""
    turns = max(1, plan.round_tokens // plan.tokens)

    async def one_round(contender: Contender) -> float:
        async def work() -> int:
            return sum([(await contender.load.turn(plan.tokens)).tokens for _ in range(turns)])

        return await contender.cpu_each(work)

    return await alternate(contenders, plan.rounds, one_round)


async def paced(contenders: Sequence[Contender], plan: Plan) -> tuple[Samples, Samples]:
    """CPU µs per token of many answers at once, each at a model's pace: whole turns, and only while all stream."""
    tokens = int(plan.rate * plan.seconds)
    steady: Samples = {contender.kind: [] for contender in contenders}

    async def one_round(contender: Contender) -> float:
        async def work() -> int:
            turns = asyncio.create_task(contender.load.turns_at_once(plan.streams, tokens, plan.rate))
            steady[contender.kind].append(await _while_all_stream(contender.server, plan))
            return sum(turn.tokens for turn in await turns)

        return await contender.cpu_each(work)

    whole = await alternate(contenders, plan.rounds, one_round)
    return whole, {kind: samples[1:] for kind, samples in steady.items()}


async def _while_all_stream(server: Server, plan: Plan) -> float:
    """CPU µs per token between the last start and the first end: the price of a token without that of a turn."""
    await asyncio.sleep(RAMP_SECONDS + EDGE_SECONDS)
    began, before = time.perf_counter(), server.cpu_seconds()
    await asyncio.sleep(plan.seconds - RAMP_SECONDS - 2 * EDGE_SECONDS)
    used, passed = server.cpu_seconds() - before, time.perf_counter() - began
    return used / (passed * plan.rate * plan.streams) * 1e6


async def short_turns(contenders: Sequence[Contender], plan: Plan, model_url: str) -> tuple[Samples, Samples]:
    """Milliseconds that a server adds to the first token of a short turn, and CPU ms of such a turn."""
    cpu: Samples = {contender.kind: [] for contender in contenders}

    async def one_round(contender: Contender) -> float:
        added = []

        async def work() -> int:
            for _ in range(plan.short_turns):
                model = await contender.load.first_token_of_the_model(model_url, SHORT, SHORT_RATE)
                turn = await contender.load.turn(SHORT, SHORT_RATE)
                added.append((turn.first_token - model) * 1000)
            return plan.short_turns

        cpu[contender.kind].append(await contender.cpu_each(work) / 1000)
        return statistics.median(added)

    first = await alternate(contenders, plan.rounds, one_round)
    return first, {kind: samples[1:] for kind, samples in cpu.items()}


async def memory(kinds: Sequence[Kind], model_url: str, folder: Path, plan: Plan) -> Samples:
    """KiB of resident memory for each open, silent stream; a fresh process each, so that nothing freed is reused."""
    samples: Samples = {}
    for kind in kinds:
        async with AsyncExitStack() as stack:
            [contender] = await start([kind], model_url, folder, stack)
            before = contender.server.memory_bytes()
            streams = [await contender.load.open_and_hang(IDLE_TOKENS) for _ in range(plan.idle_streams)]
            await asyncio.sleep(SETTLE_SECONDS)
            samples[kind] = [(contender.server.memory_bytes() - before) / len(streams) / 1024]
            for stream in streams:
                stream.close()
    return samples


async def _warm_up(load: Load) -> None:
    await load.turns_at_once(10, 50, 200.0)
    for _ in range(5):
        await load.turn(SHORT)
    await load.turn(1000)


async def alternate(
    contenders: Sequence[Contender], rounds: int, one_round: Callable[[Contender], Awaitable[float]]
) -> Samples:
    """`rounds` samples of each, in turn; the round before them is dropped."""
    samples: Samples = {contender.kind: [] for contender in contenders}
    for number in range(rounds + 1):
        # Each round begins with another server, so that none is always the first after a pause.
        for contender in [*contenders[number % len(contenders) :], *contenders[: number % len(contenders)]]:
            sample = await one_round(contender)
            if number > 0:
                samples[contender.kind].append(sample)
    return samples


def ratio(samples: Mapping[str, Sequence[float]], kind: str, to: str) -> float:
    """Median to median."""
    return statistics.median(samples[kind]) / statistics.median(samples[to])
