"""Run groups of measurements and print their tables (`python -m bench`).

Each table is printed when its group ends, and again at the end; `--json` keeps the results after each group. Exits with
1 if a group failed with an error, never because the machine is slow.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from bench.processes import Kind, load_cores, server_cores
from bench.report import Result, as_json, table
from bench.scenarios import Plan
from bench.suite import GROUPS, QUICK, run

QUICK_SECONDS = 170.0
NOTE = "Generated titles are off (CHATKIT_TITLES=false): they need a second model call, and the stock server has none."


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
        crowd=options.crowd or 100,
        crowd_rounds=options.rounds or (1 if quick else 3),
    )


def _kinds(options: argparse.Namespace) -> list[Kind]:
    loop = options.stock_loop or ("asyncio" if options.quick else "both")
    stock: dict[str, list[Kind]] = {
        "asyncio": ["stock"],
        "uvloop": ["stock-uvloop"],
        "both": ["stock", "stock-uvloop"],
    }
    return stock[loop] if options.stock_only else [*stock[loop], "ours"]


def _place_processes() -> str:
    """Pin this process to the load cores; return a sentence on how the processes share the cores."""
    if not server_cores():
        return "This system cannot pin processes to cores: servers, endpoint and clients share all of them."
    os.sched_setaffinity(0, load_cores())
    return f"Each server runs on core {server_cores()}; the endpoint and all clients run on {load_cores()}."


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(GROUPS):
        raise argparse.ArgumentTypeError(f"unknown group: {', '.join(sorted(unknown))}")
    return names


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Compare our full stack with the stock SDK.")
    parser.add_argument("--tokens", type=int, help="length of an answer at full speed (2000)")
    parser.add_argument("--rounds", type=int, help="samples per server (4)")
    parser.add_argument("--streams", type=int, help="concurrent answers (50)")
    parser.add_argument("--rate", type=float, help="tokens per second of each of them (30)")
    parser.add_argument("--seconds", type=float, help="duration of each of them (8)")
    parser.add_argument(
        "--stock-loop", choices=["asyncio", "uvloop", "both"], help="event loop of the stock server (both)"
    )
    parser.add_argument("--crowd", type=int, help="concurrent answers for delay and journal (100)")
    parser.add_argument("--only", type=_names, help=f"groups to run, of {','.join(GROUPS)}")
    parser.add_argument("--stock-only", action="store_true", help="measure only the stock server")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="rough results within three minutes: small samples, no capacity, the rest cut",
    )
    parser.add_argument("--json", type=Path, help="write all samples to this file, after each group")
    options = parser.parse_args()
    plan = _plan(options)
    placement = _place_processes()

    def keep(results: list[Result]) -> None:
        if options.json:
            options.json.write_text(as_json(results, plan), encoding="utf-8")

    with tempfile.TemporaryDirectory(prefix="chatkit-bench-") as folder:
        work = run(
            options.only or (QUICK if options.quick else list(GROUPS)),
            plan,
            _kinds(options),
            Path(folder),
            seconds=QUICK_SECONDS if options.quick else None,
            keep=keep,
        )
        outcome = asyncio.run(work)
    sys.stdout.write(f"\n{placement}\n{NOTE}\n\n{table(outcome.results)}\n")
    if outcome.cut:
        sys.stdout.write(f"\nCut for lack of time: {', '.join(outcome.cut)}. Run them with --only.\n")
    if outcome.failed:
        sys.exit(f"failed: {', '.join(outcome.failed)}")


main()
