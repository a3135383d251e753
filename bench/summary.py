"""The figures that a reader asks for first, in sentences for the document."""

from collections.abc import Iterator, Mapping, Sequence
from string import Formatter
from typing import Any

from bench.groups.capacity import LIMIT_MS
from bench.plan import FULL
from bench.rows import Group, Row, number

LOAD = f"{FULL.answers} answers at {FULL.rate:g} tokens/s"
SENTENCES = (
    f"One core carries {{capacity}} at {FULL.rate:g} tokens/s before one token in a hundred is {LIMIT_MS:g} ms late.",
    f"With {LOAD}, the server adds {{delay_p50}} to the delay of a token at p50, {{delay_p99}} at p99.",
    "It adds {first_token} to the first token of a new thread.",
    f"With {LOAD}, a token takes {{token_cpu}} of CPU.",
    "A turn of 5 tokens takes {turn_cpu} of CPU.",
    "An idle server takes {idle} of memory, each open answer {open} more.",
)
"""With rows by name."""


def summary(groups: Sequence[Group], machine: Mapping[str, Any]) -> str:
    """Return a list of the figures that the run has."""
    figures = {row.name: text for group in groups for row in group.rows if (text := _figure(row, group.is_disturbed))}
    samples = "Medians of small samples" if machine["samples"] == "small" else "Medians"
    return "\n".join([
        f"{samples} of [the run](#the-server) of {machine['date']} at commit {machine['commit']} on {machine['cpu']}; "
        "stock is the path of openai-chatkit's own samples:",
        "",
        *_sentences(figures),
    ])  # fmt: skip


def _sentences(figures: Mapping[str, str]) -> Iterator[str]:
    for sentence in SENTENCES:
        if all(name in figures for _, name, _, _ in Formatter().parse(sentence) if name):
            yield f"- {sentence.format(**figures)}"


def _figure(row: Row, is_disturbed: bool) -> str:
    """Return our median with its unit, the remarks on it, and stock's; nothing if ours was not measured."""
    if not row.samples.get("ours"):
        return ""
    unit = row.unit.removeprefix("CPU ").split()[0]
    stock = f"stock: {number(row.median('stock'))}" if row.samples.get("stock") else row.note("stock")
    remarks = "; ".join(filter(None, [row.note("ours"), "disturbed" if is_disturbed else "", stock]))
    return f"**{number(row.median('ours'))} {unit}**{f' ({remarks})' if remarks else ''}"
