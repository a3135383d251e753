"""What is measured. Each scenario gives one sample per round and server; the rounds of the servers alternate."""

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.load import Load
from bench.processes import Kind, Server, server

Samples = dict[Kind, list[float]]

SETTLE_SECONDS = 0.3  # work after the last byte (saving, closing) belongs to the turn
TOKENS_OF_A_ROUND = 10_000  # CPU time counts in steps of 10 ms
SHORT = 5
SHORT_RATE = 1000.0  # a write of its own for each token, the first one at once
IDLE_TOKENS = 10


@dataclass(frozen=True)
class Plan:
    """How much of everything."""

    tokens: int
    rounds: int
    streams: int
    rate: float
    seconds: float
    short_turns: int
    idle_streams: int


@dataclass(frozen=True)
class Contender:
    """A server with a client of its own."""

    server: Server
    load: Load

    @property
    def kind(self) -> Kind:
        return self.server.kind

    async def cpu_per_token(self, work: Callable[[], Awaitable[int]]) -> float:
        """CPU µs of the server for each token that `work` delivers."""
        before = self.server.cpu_seconds()
        tokens = await work()
        await asyncio.sleep(SETTLE_SECONDS)
        return (self.server.cpu_seconds() - before) / tokens * 1e6


async def start(kinds: Sequence[Kind], model_url: str, folder: Path, stack: AsyncExitStack) -> list[Contender]:
    """All servers, running and warm."""
    contenders = []
    for kind in kinds:
        running = await stack.enter_async_context(server(kind, model_url, folder))
        contenders.append(Contender(running, await stack.enter_async_context(Load(running.url))))
    for contender in contenders:
        await _warm_up(contender.load)
    return contenders


async def full_speed(contenders: Sequence[Contender], plan: Plan) -> Samples:
    """CPU µs per token of one answer after another, each as fast as the model's server sends."""
    turns = max(1, TOKENS_OF_A_ROUND // plan.tokens)

    async def one_round(contender: Contender) -> float:
        async def work() -> int:
            return sum([(await contender.load.turn(plan.tokens)).tokens for _ in range(turns)])

        return await contender.cpu_per_token(work)

    return await _alternate(contenders, plan.rounds, one_round)


async def paced(contenders: Sequence[Contender], plan: Plan) -> Samples:
    """CPU µs per token of many answers at once, each at a model's pace."""
    tokens = int(plan.rate * plan.seconds)

    async def one_round(contender: Contender) -> float:
        async def work() -> int:
            return sum(turn.tokens for turn in await contender.load.turns_at_once(plan.streams, tokens, plan.rate))

        return await contender.cpu_per_token(work)

    return await _alternate(contenders, plan.rounds, one_round)


async def first_token(contenders: Sequence[Contender], plan: Plan, model_url: str) -> Samples:
    """Milliseconds that a server adds to the first token of a short turn."""

    async def one_round(contender: Contender) -> float:
        added = []
        for _ in range(plan.short_turns):
            model = await contender.load.first_token_of_the_model(model_url, SHORT, SHORT_RATE)
            turn = await contender.load.turn(SHORT, SHORT_RATE)
            added.append((turn.first_token - model) * 1000)
        return statistics.median(added)

    return await _alternate(contenders, plan.rounds, one_round)


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


async def _alternate(
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


def ratio(samples: Mapping[Kind, Sequence[float]], kind: Kind, to: Kind) -> float:
    """Median to median."""
    return statistics.median(samples[kind]) / statistics.median(samples[to])
