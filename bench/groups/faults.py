"""What one client can do to the others, and to the server's memory."""

import asyncio

from bench.client import Client, Reply, events
from bench.processes import Server
from bench.rows import Row
from bench.stamps import now
from bench.suite import Bench, collected, percentile, settle, slope

NEIGHBOURS = 10
LEAD_SECONDS = 0.5
MARGIN_SECONDS = 1.5
BURST_OF_FRAMES = 2_000
STOP_TOKENS = 10_000
NEVER_SECONDS = 2.0
"""How long a stopped answer may take to be closed before it counts as never closed."""
RETURNED = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""Has the C library return to the system what is freed, so that what is resident is in use."""
UNREAD_BUFFER = 4096
"""What the system receives for a client that does not read; by default it would take the whole answer."""
MEBIBYTE = 1024 * 1024


async def burst(bench: Bench) -> list[Row]:
    """Measure the delay of ten paced answers beside answers at full speed; and how a burst arrives."""
    kinds = ("stock", "ours", "relay")
    servers, samples = await bench.servers(*kinds), collected(kinds)
    for kind in bench.alternate(kinds, bench.plan.few_rounds):
        samples[kind].append(await _beside_bursts(bench, servers[kind]))
    frames = collected(("deltas", "catch-up items"))
    for _ in range(bench.plan.rounds):
        client = Client(servers["ours"].port)
        deltas, items = _text_frames(await client.turn(min(BURST_OF_FRAMES, bench.plan.burst_tokens)))
        client.close()
        frames["deltas"].append(float(deltas))
        frames["catch-up items"].append(float(items))
    title = f"{NEIGHBOURS} paced answers beside a burst of {bench.plan.burst_tokens:,} tokens, p99 of the added delay"
    return [
        Row("burst", title, "ms", samples).most("ours", 10.0),
        Row("frames", "A burst of 2,000 tokens", "frames with text", frames)
        .least("deltas", 2)
        .most("catch-up items", 0),
    ]


async def _beside_bursts(bench: Bench, server: Server) -> float:
    plan = bench.plan
    tokens = int(plan.rate * (LEAD_SECONDS + plan.burst_seconds + MARGIN_SECONDS))
    neighbours = [Client(server.port) for _ in range(NEIGHBOURS)]
    replies = []
    for number, client in enumerate(neighbours):
        await asyncio.sleep(1 / plan.rate / NEIGHBOURS * (number > 0))
        replies.append(await client.ask(tokens=tokens, rate=plan.rate))
    await asyncio.sleep(LEAD_SECONDS)
    client = Client(server.port)
    begin = now()
    with bench.measured(server):
        while now() - begin < plan.burst_seconds * 1e6:
            await (await client.ask(tokens=plan.burst_tokens)).complete()
    end = now()
    streams = [(await reply.complete(tokens)).arrivals() for reply in replies]
    delays = [(arrived - sent) / 1000 for stream in streams for sent, arrived in stream if begin <= sent < end]
    for each in (client, *neighbours):
        each.close()
    return percentile(delays, 0.99)


def _text_frames(reply: Reply) -> tuple[int, int]:
    """Return how many deltas brought text, and how many items that began with text."""
    deltas = items = 0
    for event in events(reply.data):
        match event:
            case {"type": "thread.item.updated", "update": {"delta": _}}:
                deltas += 1
            case {"type": "thread.item.added", "item": {"type": "assistant_message", "content": [{"text": text}]}}:
                items += bool(text)
    return deltas, items


async def starts(bench: Bench) -> list[Row]:
    """Measure the time to the first token while many answers start at once."""
    kinds = ("stock", "ours", "relay")
    servers, p50, p99 = await bench.servers(*kinds), collected(kinds), collected(kinds)
    for kind in bench.alternate(kinds, bench.plan.few_rounds):
        clients = [Client(servers[kind].port) for _ in range(bench.plan.starts)]
        with bench.measured(servers[kind]):
            replies = await asyncio.gather(*(client.ask(tokens=5, rate=bench.plan.rate) for client in clients))
            await asyncio.gather(*(reply.complete(5) for reply in replies))
        for client in clients:
            client.close()
        first = [reply.first_token_ms for reply in replies]
        p50[kind].append(percentile(first, 0.5))
        p99[kind].append(percentile(first, 0.99))
        await settle(servers[kind])
    title = f"{bench.plan.starts} answers that start at once, first token"
    return [Row("starts_p50", f"{title}, p50", "ms", p50), Row("starts_p99", f"{title}, p99", "ms", p99)]


async def stop(bench: Bench) -> list[Row]:
    """Measure how soon the model's connection is closed after the user stops an answer, or leaves."""
    samples, notes = collected(("stock", "ours", "relay")), {}
    for kind, values in samples.items():
        server = await (bench.fresh(kind) if kind == "stock" else bench.server(kind))  # its answers would run on
        values += await _stops(bench, server)
        missing = bench.plan.stops - len(values)
        notes[kind] = f"{missing} of {bench.plan.stops} never" if missing else f"{bench.plan.stops} stops"
    title = "The model's connection closed after a stop (stock and relay: after a disconnect)"
    return [Row("stop", title, "ms", samples, notes=notes).most("ours", 5.0).highest("ours", 5.0)]


async def _stops(bench: Bench, server: Server) -> list[float]:
    """Return the ms of each stop whose answer was closed."""
    stopped: dict[int, int] = {}
    key = 0
    for key in range(bench.next_key, bench.next_key + bench.plan.stops):
        client = Client(server.port)
        reply = await client.ask(tokens=STOP_TOKENS, rate=bench.plan.rate, key=key)
        await reply.first_token()
        other = Client(server.port)
        other.cookie = client.cookie
        stopped[key] = now()
        if server.kind == "ours":
            turn = reply.header("x-chatkit-turn-id")
            await (await other.request("POST", f"/api/turns/{turn}/stop", {})).complete()
        for each in (client, other):
            each.close()
    bench.next_key = key + 1
    endpoint = Client(bench.endpoint.port)
    closed: dict[int, int] = {}
    for _ in range(int(NEVER_SECONDS / 0.1)):
        closed = {int(key): at for key, at in (await endpoint.get("/closed")).items()}
        if stopped.keys() <= closed.keys():
            break
        await asyncio.sleep(0.1)
    endpoint.close()
    return [(closed[key] - at) / 1000 for key, at in stopped.items() if key in closed]


async def unread(bench: Bench) -> list[Row]:
    """Measure the memory that a client costs which does not read, and what an answer leaves behind that was read."""
    kinds, plan = ("stock", "ours", "relay"), bench.plan
    process, system, left = collected(kinds), collected(kinds), collected(("ours",))
    for kind in kinds:
        async with bench.starting(kind, RETURNED) as server:
            tokens, count = plan.unread_tokens, plan.unread_clients
            if kind == "stock":  # takes many seconds for each answer
                tokens, count = plan.stock_unread_tokens, 1
            if kind == "ours":
                await _memory_of_answers(bench, server, tokens, 2)  # what the first answers take is used again
                left[kind].append(await _memory_of_answers(bench, server, tokens, count))
            clients: list[Client] = []
            process[kind].append(await _memory_of_answers(bench, server, tokens, count, clients))
            if (unsent := server.unsent_bytes()) is not None:
                system[kind].append(unsent / count / MEBIBYTE)
            for client in clients:
                client.close()
    title = f"an answer of {plan.unread_tokens:,} tokens"
    notes = {"stock": f"of {plan.stock_unread_tokens:,} tokens"}
    return [
        Row("unread", f"A client that does not read {title}", "MiB", process, notes=notes).most("ours", 1.0),
        Row("unsent", "The same, in the buffers of the system", "MiB", system, notes=notes).most("ours", 1.0),
        Row("left", f"What {title} leaves behind when it was read", "MiB", left),
    ]


async def _memory_of_answers(
    bench: Bench, server: Server, tokens: int, count: int, unread: list[Client] | None = None
) -> float:
    """Return the MiB by which memory grows with each answer, when it has ended at the server.

    With `unread`, their clients do not read them, and are added to it.
    """
    memory = [server.private_bytes() / MEBIBYTE]
    for _ in range(count):
        client = Client(server.port, receive_buffer=None if unread is None else UNREAD_BUFFER)
        reply = await client.ask(tokens=tokens)
        await reply.began.wait()
        if unread is None:
            await reply.complete()
            client.close()
        else:
            client.stop_reading()
            unread.append(client)
        await settle(server, bench.endpoint)
        memory.append(server.private_bytes() / MEBIBYTE)
    return slope(memory)
