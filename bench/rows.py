"""What was measured, how it compares with what is wanted, and how both are printed: text, JSON and Markdown."""

import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from bench.processes import KINDS

Samples = dict[str, list[float]]
"""Samples by kind of server, or by what else the row compares."""


@dataclass(frozen=True)
class Check:
    """A figure that is wanted."""

    what: str
    value: str
    wanted: str
    holds: bool

    def __str__(self) -> str:
        return f"{self.what} {self.value}, wanted {self.wanted}"


@dataclass(frozen=True)
class Row:
    """Samples of one figure."""

    name: str
    title: str
    unit: str
    samples: Samples
    checks: list[Check] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    """What is to be said of a kind of server beside, or instead of, its samples."""

    def median(self, name: str) -> float:
        return statistics.median(self.samples[name])

    def ratio(self, name: str, to: str, limit: float) -> Self:
        """Want the median of `name` to be at most `limit` of that of `to`; nothing if either was not measured."""
        if self.samples.get(name) and self.samples.get(to) and self.median(to) > 0:
            value = self.median(name) / self.median(to)
            holds = value <= limit
            shown = _shown(value, limit, _ratio, holds)
            self._want(f"{title_of(name)} / {to}:", shown, f"≤ {_ratio(limit)}", holds)
        return self

    def most(self, name: str, limit: float) -> Self:
        """Want the median of `name` to be at most `limit`. A note instead of samples says why it is not."""
        return self._compare(name, f"≤ {limit:g}", limit, lambda value: value <= limit)

    def highest(self, name: str, limit: float) -> Self:
        """Want the highest sample of `name` to be at most `limit`."""
        if values := self.samples.get(name):
            holds = max(values) <= limit
            shown = _shown(max(values), limit, number, holds)
            self._want(f"{title_of(name)}, highest:", shown, f"≤ {limit:g}", holds)
        return self

    def least(self, name: str, limit: float) -> Self:
        """Want the median of `name` to be at least `limit`. A note instead of samples says why it is not."""
        return self._compare(name, f"≥ {limit:g}", limit, lambda value: value >= limit)

    def _compare(self, name: str, wanted: str, limit: float, is_within: Callable[[float], bool]) -> Self:
        if self.samples.get(name):
            value = self.median(name)
            holds = is_within(value)
            self._want(f"{title_of(name)}:", _shown(value, limit, number, holds), wanted, holds)
        elif name in self.notes:
            self._want(f"{title_of(name)}:", self.notes[name], wanted, holds=False)
        return self

    def note(self, name: str) -> str:
        """Return what is to be said of a kind of server; a negative median is a difference smaller than the noise."""
        noise = "within the noise" if self.samples.get(name) and self.median(name) < 0 else ""
        return "; ".join(filter(None, [noise, self.notes.get(name)]))

    def _want(self, what: str, value: str, wanted: str, holds: bool) -> None:
        self.checks.append(Check(what, value, wanted, holds))


def title_of(name: str) -> str:
    """Return how a kind of server, or anything else that a row compares, is named in the report."""
    return KINDS[name][0] if name in KINDS else name


NOISY = 0.1
"""A server that waits for its core for longer gathers tokens and looks cheaper, or adds delays, than it would."""


@dataclass
class Noise:
    """How much the machine disturbed a group, and whether the load was the bottleneck."""

    waited: Mapping[str, float]
    """By kind of server, the share of the time in which it was ready to run while others used its core."""
    endpoint: float
    clients: float
    """The share of a core that the endpoint and the clients used, while servers were measured."""

    def __str__(self) -> str:
        waited = ", ".join(f"{kind} {share:.1%}" for kind, share in self.waited.items())
        load = f"the endpoint used {self.endpoint:.0%} and the clients {self.clients:.0%} of a core"
        warning = " Disturbed, others kept the core busy: repeat it." if self.is_disturbing else ""
        return f"Servers waited for their core {waited} of the time; {load}.{warning}"

    @property
    def is_disturbing(self) -> bool:
        """Whether the verdicts of the group mean nothing."""
        return max(self.waited.values(), default=0.0) > NOISY


@dataclass
class Group:
    """The rows that were measured together."""

    name: str
    rows: list[Row]
    noise: Noise | None
    seconds: float

    @property
    def is_disturbed(self) -> bool:
        """Whether other programs used the servers' core for too long."""
        return self.noise is not None and self.noise.is_disturbing


def block(group: Group) -> str:
    """Return the group as text: per row the medians with their range, and what is wanted."""
    lines = [line for row in group.rows for line in _lines(row, " (disturbed)" * group.is_disturbed)]
    return "\n".join([*lines, *([f"  {group.noise}"] if group.noise else [])])


def _lines(row: Row, mark: str) -> Iterator[str]:
    yield f"{row.title} [{row.unit}]"
    for name in {**row.samples, **row.notes}:
        values = row.samples.get(name, [])
        figures = ""
        if values:
            span = f"{number(min(values))} to {number(max(values))}"
            spread = f"spread {_spread(values):.0%}, n={len(values)}" if len(values) > 1 else "n=1"
            figures = f"{number(statistics.median(values)):>9}  {span:>19}  {spread}"
        yield f"  {title_of(name):<32}{figures}  {row.note(name)}".rstrip()
    for check in row.checks:
        yield f"  {'holds' if check.holds else 'SHORT':<6} {check}{mark}"


def _spread(values: Sequence[float]) -> float:
    middle = statistics.median(values)
    return (max(values) - min(values)) / abs(middle) if middle else 0.0


def number(value: float, more: int = 0) -> str:
    """Return a number with about three digits, and `more` of them."""
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{decimals + more}f}"


def _ratio(value: float, more: int = 0) -> str:
    return f"1/{1 / value:.{3 + more}g}" if 0 < value < 0.4 else f"{value:.{3 + more}g}x"


def _shown(value: float, limit: float, form: Callable[[float, int], str], holds: bool) -> str:
    """Return a value with as many digits as it needs not to look like the limit that it misses."""
    texts = ((form(value, more), form(limit, more)) for more in range(15))
    return next(text for text, missed in texts if holds or text != missed)


def as_json(groups: Sequence[Group], machine: Mapping[str, Any], failed: Mapping[str, str]) -> str:
    """Return everything as JSON, for comparing runs and for the document."""
    body = {
        "machine": machine,
        "failed": failed,
        "groups": [
            {
                "name": group.name,
                "seconds": group.seconds,
                "noise": vars(group.noise) if group.noise else None,
                "rows": [_row_as_json(row) for row in group.rows],
            }
            for group in groups
        ],
    }
    return json.dumps(body, indent=1, ensure_ascii=False)


def _row_as_json(row: Row) -> Mapping[str, Any]:
    medians = {name: statistics.median(values) for name, values in row.samples.items() if values}
    return {**vars(row), "checks": [vars(check) for check in row.checks], "medians": medians}


def from_json(text: str) -> tuple[list[Group], Mapping[str, Any]]:
    """Return the groups and the machine of a run."""
    body = json.loads(text)
    groups = []
    for group in body["groups"]:
        rows = [
            Row(**{k: v for k, v in row.items() if k != "medians"} | {"checks": [Check(**c) for c in row["checks"]]})
            for row in group["rows"]
        ]
        noise = Noise(**group["noise"]) if group["noise"] else None
        groups.append(Group(group["name"], rows, noise, group["seconds"]))
    return groups, body["machine"]


COLUMNS = ("stock", "ours", "relay")


def markdown(groups: Sequence[Group], machine: Mapping[str, Any]) -> str:
    """Return the run as a table for the document."""
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    measured = "Small samples, measured" if machine["samples"] == "small" else "Measured"
    return "\n".join([
        f"{measured} {machine['date']} at commit {machine['commit']} on {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['kernel']}, Python {machine['python']}; {libraries}.",
        "",
        "| | stock | ours | relay | others | wanted | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(_table_line(row, ", disturbed" * group.is_disturbed) for group in groups for row in group.rows),
        "",
        *(f"- `{group.name}` ({group.seconds:.0f} s): {group.noise}" for group in groups if group.noise),
    ])  # fmt: skip


def _table_line(row: Row, mark: str) -> str:
    columns = [_cell(row, name) for name in COLUMNS]
    others = [
        f"{title_of(name).removeprefix('ours, ')}: {_cell(row, name)}"
        for name in {**row.samples, **row.notes}
        if name not in COLUMNS
    ]
    wanted = "<br>".join(str(check) for check in row.checks)
    outcome = "<br>".join(("holds" if check.holds else "short") + mark for check in row.checks)
    return f"| {row.title}, {row.unit} | {' | '.join(columns)} | {'<br>'.join(others)} | {wanted} | {outcome} |"


def _cell(row: Row, name: str) -> str:
    values, note = row.samples.get(name, []), row.note(name)
    if not values:
        return note
    span = f" ({number(min(values))}–{number(max(values))})" if len(values) > 1 else ""
    return f"{number(statistics.median(values))}{span}{'; ' + note if note else ''}"
