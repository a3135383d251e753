"""`python -m bench`: run everything and print the table. Fails only on errors, never on a slow machine."""

import argparse
import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from bench import scenarios
from bench.processes import Kind, upstream
from bench.report import Result, as_json, table
from bench.scenarios import Plan


async def run(plan: Plan, kinds: list[Kind]) -> list[Result]:
    """All scenarios against all servers."""
    with tempfile.TemporaryDirectory(prefix="chatkit-bench-") as name:
        folder = Path(name)
        async with AsyncExitStack() as stack:
            model_url = await stack.enter_async_context(upstream(folder))
            _say("memory")
            memory = await scenarios.memory(kinds, model_url, folder, plan)
            contenders = await scenarios.start(kinds, model_url, folder, stack)
            _say("full speed")
            full_speed = await scenarios.full_speed(contenders, plan)
            _say("short turns")
            first_token, turn = await scenarios.short_turns(contenders, plan, model_url)
            _say(f"{plan.streams} streams")
            paced, steady = await scenarios.paced(contenders, plan)
    many = f"{plan.streams} answers at once at {plan.rate:g} tokens/s"
    return [
        Result("full_speed", f"One answer of {plan.tokens} tokens at full speed", "CPU µs per token", full_speed),
        Result("paced", f"{many}, whole turns", "CPU µs per token", paced),
        Result("steady", f"{many}, while all stream", "CPU µs per token", steady),
        Result("first_token", "First token, added by the server", "ms", first_token),
        Result("turn", "A turn of 5 tokens", "CPU ms", turn),
        Result("memory", f"{plan.idle_streams} open streams", "KiB per stream", memory),
    ]


def _plan(options: argparse.Namespace) -> Plan:
    quick = options.quick
    return Plan(
        tokens=options.tokens or 2000,
        round_tokens=6_000 if quick else 10_000,  # CPU time counts in steps of 10 ms
        rounds=options.rounds or (2 if quick else 4),
        streams=options.streams or 50,
        rate=options.rate or 30.0,
        seconds=options.seconds or (3.0 if quick else 8.0),
        short_turns=8 if quick else 20,
        idle_streams=50 if quick else 200,
    )


def _kinds(options: argparse.Namespace) -> list[Kind]:
    loop = options.stock_loop or ("asyncio" if options.quick else "both")
    stock: dict[str, list[Kind]] = {
        "asyncio": ["stock"],
        "uvloop": ["stock-uvloop"],
        "both": ["stock", "stock-uvloop"],
    }
    return stock[loop] if options.stock_only else [*stock[loop], "ours"]


def _say(text: str) -> None:
    sys.stderr.write(f"... {text}\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Our full stack against the stock way.")
    parser.add_argument("--tokens", type=int, help="length of an answer at full speed (2000)")
    parser.add_argument("--rounds", type=int, help="samples of each server (4)")
    parser.add_argument("--streams", type=int, help="answers at once (50)")
    parser.add_argument("--rate", type=float, help="tokens per second of each of them (30)")
    parser.add_argument("--seconds", type=float, help="how long each of them streams (8)")
    parser.add_argument(
        "--stock-loop", choices=["asyncio", "uvloop", "both"], help="what the stock server runs on (both)"
    )
    parser.add_argument("--stock-only", action="store_true", help="leave our server out")
    parser.add_argument("--quick", action="store_true", help="a rough look in less than a minute")
    parser.add_argument("--json", type=Path, help="write all samples to this file")
    options = parser.parse_args()
    plan = _plan(options)
    results = asyncio.run(run(plan, _kinds(options)))
    sys.stdout.write(f"\n{table(results)}\n")
    if options.json:
        options.json.write_text(as_json(results, plan), encoding="utf-8")


main()
