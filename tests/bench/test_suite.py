"""The benchmark: each of its groups works, keeps what it has measured, and survives the failure of another."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from bench import __main__ as command
from bench.client import Client, TooSlow, WrongAnswer, events
from bench.groups import GROUPS
from bench.groups.profile import has_sampler
from bench.machine import ROOT
from bench.plan import TINY
from bench.processes import endpoint, not_started, server
from bench.rows import Group, Noise, Row, as_json, block, from_json, markdown
from bench.suite import Bench, Outcome, run
from bench.summary import summary

MACHINE = {
    "samples": "all",
    "date": "today",
    "commit": "1",
    "cpu": "x",
    "cores": 2,
    "kernel": "k",
    "python": "3",
    "libraries": {},
}


async def broken(bench: Bench) -> list[Row]:
    await bench.server("relay")
    raise RuntimeError("a client failed")


async def measured(bench: Bench) -> list[Row]:
    samples = {"stock": [6.0, 5.0], "ours": [1.0], "relay": [1.5]}
    row = Row("good", "A good row", "ms", samples, notes={"stock": "with a note"})
    return [row.ratio("ours", "stock", 1 / 6).ratio("ours", "relay", 0.5).most("ours", 2.0).least("ours", 2.0)]


async def test_every_group_measures_all_of_its_rows(tmp_path: Path) -> None:
    names = [name for name in GROUPS if name != "profile" or has_sampler()]
    outcome = Outcome()
    await run({name: GROUPS[name] for name in names}, TINY, tmp_path, outcome=outcome)
    for number in range(5):
        if not (slow := [*outcome.slow]):
            break
        outcome.slow.clear()  # the machine was busy
        (folder := tmp_path / f"again-{number}").mkdir()
        await run({name: GROUPS[name] for name in slow}, TINY, folder, outcome=outcome)
    assert (outcome.failed, outcome.slow) == ({}, {})
    assert sorted(group.name for group in outcome.groups) == sorted(names)
    rows = {row.name: row for group in outcome.groups for row in group.rows}
    assert len(rows) == sum(len(group.rows) for group in outcome.groups)
    assert [row.name for row in rows.values() if not _is_complete(row)] == []


def _is_complete(row: Row) -> bool:
    return bool(row.samples) and all(values or name in row.notes for name, values in row.samples.items())


async def test_a_group_that_fails_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept: list[int] = []
    outcome = Outcome()
    groups = {"first": measured, "broken": broken, "second": measured}
    await run(groups, TINY, tmp_path, outcome=outcome, keep=lambda outcome: kept.append(len(outcome.groups)))
    assert ([group.name for group in outcome.groups], kept) == (["first", "second"], [1, 1, 2])
    assert outcome.failed == {"broken": "RuntimeError: a client failed"}
    printed = capsys.readouterr().err
    assert printed.index("A good row") < printed.index("a client failed") < printed.index("... second")


async def test_a_machine_that_is_too_slow_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def slow(bench: Bench) -> list[Row]:
        raise TooSlow("an answer did not end")

    outcome = Outcome()
    await run({"slow": slow}, TINY, tmp_path, outcome=outcome)
    assert (outcome.failed, outcome.slow) == ({}, {"slow": "an answer did not end"})
    printed = capsys.readouterr().err
    assert "given up, this machine is too slow for it, or too busy: an answer did not end" in printed
    assert "Traceback" not in printed
    assert "not measured: slow, this machine" in "\n".join(command.verdict(outcome, is_quick=True))


def test_a_server_that_does_not_start_says_why() -> None:
    exited, late = not_started("stock", 3, "x" * 4000), not_started("ours", None, "\n")
    assert isinstance(exited, RuntimeError)
    assert str(exited) == f"the stock server exited with 3 before it listened; the end of its log:\n{'x' * 3000}"
    assert isinstance(late, TooSlow)
    assert str(late) == "the ours server did not listen within 60 s, the machine may be busy; its log is empty"


def test_a_figure_that_falls_short_does_not_look_as_if_it_holds() -> None:
    row = Row("a", "A row", "s", {"stock": [1.0], "ours": [1.50004], "relay": [1.4996], "others": [6.00002]})
    row.most("ours", 1.5).most("relay", 1.5).least("relay", 1.5).highest("ours", 1.5).ratio("ours", "stock", 1.5)
    row.ratio("stock", "others", 1 / 6).ratio("others", "stock", 6)
    assert [f"{check} {check.holds}" for check in row.checks] == [
        "ours: 1.50004, wanted ≤ 1.5 False",
        "bare relay: 1.50, wanted ≤ 1.5 True",
        "bare relay: 1.4996, wanted ≥ 1.5 False",
        "ours, highest: 1.50004, wanted ≤ 1.5 False",
        "ours / stock: 1.50004x, wanted ≤ 1.5x False",
        "stock, asyncio + h11 / others: 1/6, wanted ≤ 1/6 True",
        "others / stock: 6.00002x, wanted ≤ 6x False",
    ]


def test_a_note_instead_of_samples_falls_short_and_a_negative_difference_is_noise() -> None:
    row = Row("a", "A row", "ms", {"ours": [], "relay": [-0.15]}, notes={"ours": "too slow"}).least("ours", 450)
    printed = block(Group("a", [row], None, 1.0))
    assert "SHORT  ours: too slow, wanted ≥ 450" in printed
    assert "-0.15       -0.15 to -0.15  n=1  within the noise" in printed


def test_verdicts_of_a_disturbed_group_do_not_count() -> None:
    row = Row("capacity", "A row", "answers", {"stock": [60.0], "ours": [440.0]}).least("ours", 450).least("stock", 50)
    quiet, busy = (
        Group(name, [row], Noise({"ours": share}, 0.0, 0.0), 1.0) for name, share in (("q", 0.1), ("b", 0.2))
    )
    assert "wanted ≥ 450 (disturbed)" in block(busy)
    assert "disturbed" not in block(quiet)
    assert "| short, disturbed<br>holds, disturbed |" in markdown([busy], MACHINE)
    assert [*command.verdict(Outcome([quiet, busy]), is_quick=True)] == [
        "1 of 2 wanted figures hold.",
        "These are small samples: repeat a group that falls short with --only, without --quick.",
        "1 of 2 groups were disturbed by other programs; their verdicts mean nothing and are not counted: b. Repeat "
        "them with --only on a quiet machine.",
    ]
    assert len([*command.verdict(Outcome([busy]), is_quick=True)]) == 1  # small samples are not to blame
    assert "carries **440 answers** (disturbed; stock: 60.0) at 30 tokens/s" in summary([busy], MACHINE)


def test_the_summary_has_the_figures_of_the_run() -> None:
    samples = {"stock": [8.4], "ours": [2.5]}
    rows = [
        Row("turn_cpu", "A turn", "CPU ms of the server", samples),
        Row("idle", "Idle", "MiB", {"ours": [180.0]}),
        Row("open", "An open answer", "KiB", {"ours": [83.3]}),
        Row("delay_p50", "Without its p99", "ms", samples),
    ]
    assert summary([Group("some", rows, None, 1.0)], MACHINE | {"samples": "small"}).splitlines()[2:] == [
        "- A turn of 5 tokens takes **2.50 ms** (stock: 8.40) of CPU.",
        "- An idle server takes **180 MiB** of memory, each open answer **83.3 KiB** more.",
    ]


async def test_an_answer_that_lacks_a_token_is_an_error(tmp_path: Path) -> None:
    async with endpoint(tmp_path) as model, server("relay", model.port, tmp_path) as relay:
        client = Client(relay.port)
        reply = await (await client.ask(tokens=3)).complete()
        client.close()
    reply.check(3)
    for broken in (reply.data.replace(b"quick", b"quiet"), reply.data.replace(b"brown", b"frown", 1)):
        reply.pieces[:] = [(1, broken)]
        with pytest.raises(WrongAnswer):
            reply.check(3)


async def test_an_interrupted_run_prints_what_it_has_measured(tmp_path: Path) -> None:
    arguments = ["-m", "bench", "--quick", "--only", "login,paced", "--json", str(tmp_path / "run.json")]
    running = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, stdout=PIPE, stderr=PIPE)
    assert running.stderr is not None
    async with asyncio.timeout(120):
        while not (line := await running.stderr.readline()).startswith(b"... paced"):
            assert line, "it ended too early"
        running.send_signal(signal.SIGINT)
        printed, _ = await running.communicate()
    assert running.returncode == command.INTERRUPTED
    assert "Login: who sends a request" in printed.decode()
    assert [group.name for group in from_json((tmp_path / "run.json").read_text(encoding="utf-8"))[0]] == ["login"]


async def test_a_run_survives_json_and_becomes_a_table_of_the_document(tmp_path: Path) -> None:
    outcome = Outcome()
    await run({"good": measured}, TINY, tmp_path, outcome=outcome)
    text = as_json(outcome.groups, MACHINE, {"other": "it failed"})
    assert json.loads(text)["groups"][0]["rows"][0]["medians"] == {"stock": 5.5, "ours": 1.0, "relay": 1.5}
    assert from_json(text) == (outcome.groups, MACHINE)
    document = tmp_path / "page.md"
    parts = [f"{begin}\nold\n{end}\n" for begin, end in map(command.marks, command.PARTS)]
    document.write_text("between\n".join(["before\n", *parts, "after\n"]), encoding="utf-8")
    command.write_document(*from_json(text), document)
    written = document.read_text(encoding="utf-8")
    assert written.startswith(
        "before\nbetween\n<!-- make bench, summary: begin -->\nMedians of [the run](#the-server) of today"
    )
    assert written.endswith("after\n")
    assert "\nold\n" not in written
    assert "| A good row, ms | 5.50 (5.00–6.00); with a note | 1.00 | 1.50 |  |" in written
    assert "| short<br>short<br>holds<br>short |" in written


async def test_the_relay_copies_all_bytes(tmp_path: Path) -> None:
    async with endpoint(tmp_path) as model, server("relay", model.port, tmp_path) as relay:
        client = Client(relay.port)
        for tokens in (3, 2000):  # one after another on one connection
            reply = await client.turn(tokens)
            types = [event["type"] for event in events(reply.data)]
            assert types.count("response.output_text.delta") == tokens
            assert (types[0], types[-1]) == ("response.created", "response.completed")
        client.close()
