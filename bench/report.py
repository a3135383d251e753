"""Format the results as a table and as JSON; print progress."""

import json
import platform
import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from bench.scenarios import Plan, Samples, ratio

NAMES: dict[str, str] = {
    "stock": "stock, asyncio + h11",
    "stock-uvloop": "stock, uvloop + httptools",
    "ours": "ours",
    "ours-unflushed": "ours, CHATKIT_FLUSH_MS=0",
    "ours-no-journal": "ours, CHATKIT_JOURNAL_MS=0",
    "ours-postgres": "ours, PostgreSQL",
    "ours-postgres-no-journal": "same, CHATKIT_JOURNAL_MS=0",
}


@dataclass(frozen=True)
class Result:
    """One scenario's samples."""

    name: str
    title: str
    unit: str
    samples: Samples
    subject: str | None = "ours"
    """The server that the others are compared with, if it was measured."""


def progress(line: str) -> None:
    """Write a line to stderr and flush it."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def table(results: list[Result]) -> str:
    """Return a block of lines per scenario: median, spread, and the ratio of the subject to each other server."""
    return "\n\n".join("\n".join(_block(result)) for result in results)


def _block(result: Result) -> Iterator[str]:
    subject = result.subject if result.subject in result.samples else None
    yield f"{result.title} [{result.unit}]"
    yield f"  {'':<28}{'median':>9}{'min':>9}{'max':>9}{f'{subject} / this' if subject else '':>19}"
    for kind, values in result.samples.items():
        share = ratio(result.samples, subject, kind) if subject and kind != subject else None
        relative = "" if share is None else f"{share:>19.2f}"
        name = NAMES.get(kind, kind)
        yield f"  {name:<28}{statistics.median(values):>9.1f}{min(values):>9.1f}{max(values):>9.1f}{relative}"


def as_json(results: list[Result], plan: Plan) -> str:
    """Return all samples, medians and ratios as JSON, for comparing runs."""
    body: dict[str, Any] = {"python": platform.python_version(), "plan": asdict(plan)}
    for result in results:
        body[result.name] = {
            "unit": result.unit,
            "samples": result.samples,
            "median": {kind: statistics.median(values) for kind, values in result.samples.items()},
            "ratio": {
                kind: ratio(result.samples, result.subject, kind)
                for kind in result.samples
                if result.subject in result.samples and kind != result.subject
            },
        }
    return json.dumps(body, indent=2)
