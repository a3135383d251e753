"""Define the scenarios. Each takes one sample per round and server, alternating between the servers."""

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
"""Samples by kind of server, in one scenario also by number of readers."""

SETTLE_SECONDS = 0.3  # work after the last byte (saving, closing) belongs to the turn
SHORT = 5
SHORT_RATE = 1000.0  # each token in a separate write, the first one immediately
IDLE_TOKENS = 10
EDGE_SECONDS = 0.3


@dataclass(frozen=True)
class Plan:
    """The size of each scenario."""

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
    """A server and its client."""

    server: Server
    load: Load

    @property
    def kind(self) -> Kind:
        return self.server.kind

    async def cpu_each(self, work: Callable[[], Awaitable[int]]) -> float:
        """Return the server's CPU µs per unit; `work` returns the number of units (tokens or turns)."""
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
    """Start all servers; `databases` are the URLs for those that do not use SQLite."""
    urls = databases or {}
    servers = await asyncio.gather(
        *(stack.enter_async_context(server(kind, model_url, folder, urls.get(kind))) for kind in kinds)
    )
    return [Contender(s, await stack.enter_async_context(Load(s.url))) for s in servers]


async def start(kinds: Sequence[Kind], model_url: str, folder: Path, stack: AsyncExitStack) -> list[Contender]:
    """Start all servers and warm them up."""
    contenders = await serve(kinds, model_url, folder, stack)
    await asyncio.gather(*(_warm_up(contender.load) for contender in contenders))
    return contenders


async def full_speed(contenders: Sequence[Contender], plan: Plan) -> Samples:
    """Return CPU µs per token of consecutive answers at the model's full speed."""
    turns = max(1, plan.round_tokens // plan.tokens)

    async def measure_round(contender: Contender) -> float:
        async def work() -> int:
            return sum([(await contender.load.turn(plan.tokens)).tokens for _ in range(turns)])

        return await contender.cpu_each(work)

    return await alternate(contenders, plan.rounds, measure_round)


async def paced(contenders: Sequence[Contender], plan: Plan) -> tuple[Samples, Samples]:
    """Return CPU µs per token of concurrent answers at a model's pace: of whole turns, and only while all stream."""
    tokens = int(plan.rate * plan.seconds)
    steady: Samples = {contender.kind: [] for contender in contenders}

    async def measure_round(contender: Contender) -> float:
        async def work() -> int:
            turns = asyncio.create_task(contender.load.turns_at_once(plan.streams, tokens, plan.rate))
            steady[contender.kind].append(await _while_all_stream(contender.server, plan))
            return sum(turn.tokens for turn in await turns)

        return await contender.cpu_each(work)

    turns = await alternate(contenders, plan.rounds, measure_round)
    return turns, {kind: samples[1:] for kind, samples in steady.items()}


async def _while_all_stream(server: Server, plan: Plan) -> float:
    """Return CPU µs per token between the last start and the first end: the cost of tokens without that of turns."""
    await asyncio.sleep(RAMP_SECONDS + EDGE_SECONDS)
    began, before = time.perf_counter(), server.cpu_seconds()
    await asyncio.sleep(plan.seconds - RAMP_SECONDS - 2 * EDGE_SECONDS)
    used, passed = server.cpu_seconds() - before, time.perf_counter() - began
    return used / (passed * plan.rate * plan.streams) * 1e6


async def short_turns(contenders: Sequence[Contender], plan: Plan, model_url: str) -> tuple[Samples, Samples]:
    """Return the milliseconds a server adds to the first token of a short turn, and the CPU ms of such a turn."""
    cpu: Samples = {contender.kind: [] for contender in contenders}

    async def measure_round(contender: Contender) -> float:
        delays = []

        async def work() -> int:
            for _ in range(plan.short_turns):
                model = await contender.load.first_token_of_the_model(model_url, SHORT, SHORT_RATE)
                turn = await contender.load.turn(SHORT, SHORT_RATE)
                delays.append((turn.first_token - model) * 1000)
            return plan.short_turns

        cpu[contender.kind].append(await contender.cpu_each(work) / 1000)
        return statistics.median(delays)

    first = await alternate(contenders, plan.rounds, measure_round)
    return first, {kind: samples[1:] for kind, samples in cpu.items()}


async def memory(kinds: Sequence[Kind], model_url: str, folder: Path, plan: Plan) -> Samples:
    """Return KiB of resident memory per open, silent stream, in a fresh process so that no freed memory is reused."""
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
    contenders: Sequence[Contender], rounds: int, measure_round: Callable[[Contender], Awaitable[float]]
) -> Samples:
    """Take `rounds` samples of each server, alternating; an additional first round is a warm-up."""
    samples: Samples = {contender.kind: [] for contender in contenders}
    for number in range(rounds + 1):
        # Rotate, so that no server is always the first after a pause.
        for contender in [*contenders[number % len(contenders) :], *contenders[: number % len(contenders)]]:
            sample = await measure_round(contender)
            if number > 0:
                samples[contender.kind].append(sample)
    return samples


def ratio(samples: Mapping[str, Sequence[float]], kind: str, to: str) -> float | None:
    """Return the ratio of the medians of `kind` and `to`; None if that of `to` is 0, as for a capacity of no turn."""
    divisor = statistics.median(samples[to])
    return statistics.median(samples[kind]) / divisor if divisor else None
