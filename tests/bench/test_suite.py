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
from bench.processes import endpoint, server
from bench.rows import Row, as_json, from_json
from bench.suite import Bench, Outcome, run


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


async def test_a_machine_that_is_too_slow_is_no_error(tmp_path: Path) -> None:
    async def slow(bench: Bench) -> list[Row]:
        raise TooSlow("an answer did not end")

    outcome = Outcome()
    await run({"slow": slow}, TINY, tmp_path, outcome=outcome)
    assert (outcome.failed, outcome.slow) == ({}, {"slow": "TooSlow: an answer did not end"})


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
    machine = {
        "samples": "all",
        "date": "today",
        "commit": "1",
        "cpu": "x",
        "cores": 2,
        "kernel": "k",
        "python": "3",
        "libraries": {},
    }
    text = as_json(outcome.groups, machine, {"other": "it failed"})
    assert json.loads(text)["groups"][0]["rows"][0]["medians"] == {"stock": 5.5, "ours": 1.0, "relay": 1.5}
    assert from_json(text) == (outcome.groups, machine)
    document = tmp_path / "page.md"
    document.write_text(f"before\n{command.BEGIN}\nold\n{command.END}\nafter\n", encoding="utf-8")
    command.write_document(*from_json(text), document)
    written = document.read_text(encoding="utf-8")
    assert written.startswith("before\n")
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
