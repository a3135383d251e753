"""The results as a table to read and as JSON to keep."""

import json
import platform
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from bench.processes import Kind
from bench.scenarios import Plan, Samples, ratio

NAMES: dict[Kind, str] = {
    "stock": "stock, asyncio + h11",
    "stock-uvloop": "stock, uvloop + httptools",
    "ours": "ours",
}


@dataclass(frozen=True)
class Result:
    """One scenario's samples."""

    name: str
    title: str
    unit: str
    samples: Samples


def table(results: list[Result]) -> str:
    """A block of lines per scenario: median, spread, and our ratio to each other server."""
    return "\n\n".join("\n".join(_block(result)) for result in results)


def _block(result: Result) -> Iterator[str]:
    yield f"{result.title} [{result.unit}]"
    yield f"  {'':<28}{'median':>9}{'min':>9}{'max':>9}{'ours / it':>11}"
    for kind, values in result.samples.items():
        compared = "ours" in result.samples and kind != "ours"
        share = f"{ratio(result.samples, 'ours', kind):>11.2f}" if compared else ""
        yield f"  {NAMES[kind]:<28}{statistics.median(values):>9.1f}{min(values):>9.1f}{max(values):>9.1f}{share}"


def as_json(results: list[Result], plan: Plan) -> str:
    """Everything, for comparing runs."""
    body: dict[str, Any] = {"python": platform.python_version(), "plan": asdict(plan)}
    for result in results:
        body[result.name] = {
            "unit": result.unit,
            "samples": result.samples,
            "median": {kind: statistics.median(values) for kind, values in result.samples.items()},
            "ratio": {
                kind: ratio(result.samples, "ours", kind)
                for kind in result.samples
                if kind != "ours" and "ours" in result.samples
            },
        }
    return json.dumps(body, indent=2)
