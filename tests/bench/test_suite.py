"""A benchmark keeps what it has measured, whatever happens to the rest."""

import asyncio
from pathlib import Path

import pytest

from bench import suite
from bench.report import Result
from bench.scenarios import Plan

PLAN = Plan(1, 1, 1, 1, 1.0, 1.0, 1, 1, 1, 1)


async def measured(bench: suite.Bench) -> list[Result]:
    return [Result("good", "A good group", "ms", {"ours": [1.0], "stock": [0.0]})]


async def broken(bench: suite.Bench) -> list[Result]:
    raise RuntimeError("a client failed")


async def endless(bench: suite.Bench) -> list[Result]:
    bench.stack.callback(ended.append, True)
    await asyncio.Event().wait()
    return []


ended: list[bool] = []


async def test_results_are_printed_and_kept_after_each_group(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    groups = {"broken": broken, "first": measured, "endless": endless, "late": measured}
    monkeypatch.setattr(suite, "GROUPS", groups)
    kept: list[int] = []
    outcome = await suite.run(
        list(groups), PLAN, ["ours"], tmp_path, seconds=0.5, keep=lambda results: kept.append(len(results))
    )
    assert ([result.title for result in outcome.results], kept) == (["A good group"], [1])
    assert (outcome.failed, outcome.cut, ended) == (["broken"], ["endless", "late"], [True])
    printed = capsys.readouterr().err
    assert printed.index("a client failed") < printed.index("A good group") < printed.index("... endless")
