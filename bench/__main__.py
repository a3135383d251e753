"""Measure our server beside the stock one and a bare relay (`python -m bench`).

The rows of each group are written to stderr when it ends, and all of them to stdout at the end unless both are the same
terminal, file or pipe; `--json` keeps them after each group. Exits with 1 if a group failed with an error, never
because the machine is slow or a wanted figure is missed.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import uvloop

from bench.groups import GROUPS, LONG
from bench.groups.profile import has_sampler
from bench.machine import ROOT, describe, place_this_process
from bench.plan import FULL, QUICK
from bench.rows import Group, as_json, block, from_json, markdown
from bench.suite import TOO_SLOW, Outcome, run
from bench.summary import summary

DOCUMENT = ROOT / "docs" / "performance.md"
PARTS = {"summary": summary, "table": markdown}
"""Of the document, between their marks."""
INTERRUPTED = 130
"""The exit code, as of a shell."""
NOTE = "Stock is openai-chatkit's own path on asyncio + h11; titles are off: it has none."


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(GROUPS):
        raise argparse.ArgumentTypeError(f"unknown group: {', '.join(sorted(unknown))}; see --list")
    return names


def marks(part: str) -> tuple[str, str]:
    """Return the lines before and after a part of the document."""
    return f"<!-- make bench, {part}: begin -->", f"<!-- make bench, {part}: end -->"


def write_document(groups: list[Group], machine: Mapping[str, Any], document: Path = DOCUMENT) -> None:
    """Replace the summary and the table between their marks in the document."""
    text = document.read_text(encoding="utf-8")
    for part, render in PARTS.items():
        begin, end = marks(part)
        head, rest = text.split(begin)
        text = f"{head}{begin}\n{render(groups, machine)}\n{end}{rest.split(end)[1]}"
    document.write_text(text, encoding="utf-8")


def verdict(outcome: Outcome, *, is_quick: bool) -> Iterator[str]:
    """Yield the last lines of a run: what holds, what does not count, and what was not measured."""
    disturbed = [group.name for group in outcome.groups if group.is_disturbed]
    checks = [check for group in outcome.groups if not group.is_disturbed for row in group.rows for check in row.checks]
    if checks:
        yield f"{sum(check.holds for check in checks)} of {len(checks)} wanted figures hold."
    if is_quick and not all(check.holds for check in checks):
        yield "These are small samples: repeat a group that falls short with --only, without --quick."
    if disturbed:
        yield (
            f"{len(disturbed)} of {len(outcome.groups)} groups were disturbed by other programs; their verdicts mean "
            f"nothing and are not counted: {', '.join(disturbed)}. Repeat them with --only on a quiet machine."
        )
    for name, error in outcome.failed.items():
        yield f"failed: {name}: {error}"
    for name, reason in outcome.slow.items():
        yield f"not measured: {name}, {TOO_SLOW}: {reason}"


def _has_one_output() -> bool:
    """Return whether stdout and stderr are the same terminal, file or pipe."""
    return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Compare our server with the stock SDK.")
    parser.add_argument("--quick", action="store_true", help="small samples of everything, in three minutes")
    parser.add_argument("--only", type=_names, help="groups to run, comma-separated")
    parser.add_argument("--list", action="store_true", help="name the groups and exit")
    parser.add_argument("--json", type=Path, help="write all samples to this file, after each group")
    parser.add_argument(
        "--write-doc",
        nargs="?",
        const=True,
        metavar="JSON",
        help="write summary and rows to docs/performance.md: of this run, or those of an earlier one's JSON",
    )
    options = parser.parse_args()
    if options.write_doc is True and options.only:
        parser.error("--write-doc needs all groups, because it replaces the whole table")
    if options.list:
        for name, measure in GROUPS.items():
            sys.stdout.write(f"{name:<12} {(measure.__doc__ or '').splitlines()[0]}\n")
        return 0
    if isinstance(options.write_doc, str):
        write_document(*from_json(Path(options.write_doc).read_text(encoding="utf-8")))
        return 0
    placement, machine, outcome = place_this_process(), describe(is_quick=options.quick), Outcome()

    def keep(outcome: Outcome) -> None:
        if options.json:
            options.json.write_text(
                as_json(outcome.groups, machine, {**outcome.failed, **outcome.slow}), encoding="utf-8"
            )

    left_out = set(LONG) if options.quick else set() if has_sampler() else {"profile"}
    names = options.only or [name for name in GROUPS if name not in left_out]
    chosen = {name: GROUPS[name] for name in names}
    interrupted, began = False, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chatkit-bench-") as folder:
        work = run(chosen, QUICK if options.quick else FULL, Path(folder), outcome=outcome, keep=keep)
        try:
            uvloop.run(work)
        except KeyboardInterrupt:
            interrupted = True
            sys.stderr.write("interrupted; this was measured before\n")
    sys.stdout.write(f"\n{placement} {NOTE}\n\n")
    if not _has_one_output():
        sys.stdout.writelines(f"{block(group)}\n\n" for group in outcome.groups)
    seconds = ", ".join(f"{group.name} {group.seconds:.0f}" for group in outcome.groups)
    sys.stdout.write(f"Seconds by group: {seconds}; {time.monotonic() - began:.0f} in all.\n")
    sys.stdout.writelines(f"{line}\n" for line in verdict(outcome, is_quick=options.quick))
    is_whole = not (interrupted or outcome.failed or outcome.slow)
    if options.write_doc and is_whole:
        write_document(outcome.groups, machine)
    return INTERRUPTED if interrupted else 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
