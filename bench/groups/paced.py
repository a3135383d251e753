"""Answers at a model's pace: CPU per token and the delay added to each, while all of them stream."""

import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence

from bench.client import Client, TooSlow
from bench.processes import Server
from bench.rows import Row, Samples
from bench.stamps import now
from bench.suite import Bench, Usage, collected, percentile, settle

STARTS_PER_SECOND = 50.0
"""Answers start slowly, because a start costs as much as many tokens and is not measured here."""
EDGE_SECONDS = 0.4
VARIANTS = ("ours-slow-path", "stock-uvloop")
FULL_CORE = 0.9
"""The share of a core from which a server may fall behind, which gathers tokens."""
OVERLOADED = "its core was full, so it gathered tokens, which makes it look cheaper"


async def paced(bench: Bench) -> list[Row]:
    """Compare stock, ours with and without the fast path, and the relay."""
    kinds = bench.available(("stock", "ours", "relay", *VARIANTS * bench.plan.has_variants))
    samples, notes = await stream(bench, await bench.servers(*kinds), bench.plan.rounds)
    load = f"{bench.plan.answers} answers at {bench.plan.rate:g} tokens/s"
    return [
        Row("token_cpu", f"{load}, while all stream", "CPU µs per token", samples["cpu"], notes=notes)
        .ratio("ours", "stock", 1 / 6)
        .ratio("ours", "relay", 2.5),
        Row("delay_p50", f"{load}, delay added to a token, p50", "ms", samples["p50"]).most("ours", 2.0),
        Row("delay_p99", f"{load}, delay added to a token, p99", "ms", samples["p99"]).most("ours", 10.0),
    ]


async def settings(bench: Bench) -> list[Row]:
    """Compare the settings that trade safety or delay for CPU."""
    kinds = ("ours", "ours-no-journal", "ours-flush-40", "ours-flush-100")
    samples, notes = await stream(bench, await bench.servers(*kinds), bench.plan.few_rounds)
    load = f"{bench.plan.answers} answers at {bench.plan.rate:g} tokens/s, by setting"
    return [
        Row("settings_cpu", load, "CPU µs per token", samples["cpu"], notes=notes),
        Row("settings_p50", f"{load}, delay added to a token, p50", "ms", samples["p50"]),
        Row("settings_p99", f"{load}, delay added to a token, p99", "ms", samples["p99"]),
    ]


async def stream(
    bench: Bench, servers: Mapping[str, Server], rounds: int
) -> tuple[Mapping[str, Samples], dict[str, str]]:
    """Return CPU µs per token, and p50 and p99 of the added delay in ms, by kind of server; and notes on kinds."""
    samples = {name: collected(list(servers)) for name in ("cpu", "p50", "p99", "busy")}
    for kind in bench.alternate(list(servers), rounds):
        usage, delays = await crowd(bench, [servers[kind]])
        samples["cpu"][kind].append(usage.cpu / len(delays) * 1e6)
        samples["p50"][kind].append(percentile(delays, 0.5))
        samples["p99"][kind].append(percentile(delays, 0.99))
        samples["busy"][kind].append(usage.cpu / usage.seconds)
    busy = {kind: statistics.median(shares) for kind, shares in samples["busy"].items()}
    return samples, {kind: OVERLOADED for kind, share in busy.items() if share > FULL_CORE}


async def crowd(bench: Bench, servers: Sequence[Server]) -> tuple[Usage, list[float]]:
    """Run concurrent answers at each of the servers; return what the servers used, and the delay of each token in ms.

    Only counts while all answers stream. Each is checked after its end.
    """
    plan = bench.plan
    count = plan.answers * len(servers)
    ramp = count / STARTS_PER_SECOND
    clients = [Client(servers[number % len(servers)].port) for number in range(count)]
    pending = []
    start = time.monotonic()
    for number, client in enumerate(clients):
        await asyncio.sleep(start + ramp * number / count - time.monotonic())
        tokens = int(plan.rate * (start + ramp + 2 * EDGE_SECONDS + plan.seconds - time.monotonic()))
        pending.append((tokens, await client.ask(tokens=tokens, rate=plan.rate)))
    await asyncio.sleep(start + ramp + EDGE_SECONDS - time.monotonic())
    begin = now()
    with bench.measured(*servers) as usage:
        await asyncio.sleep(plan.seconds)
    end = now()
    streams = [(await reply.complete(tokens)).arrivals() for tokens, reply in pending]
    delays = [(arrived - sent) / 1000 for tokens in streams for sent, arrived in tokens if begin <= sent < end]
    for client in clients:
        client.close()
    if not delays:
        raise TooSlow("no token was sent while all answers streamed")
    await settle(*servers)
    return usage, delays
