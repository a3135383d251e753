"""`chatkit-server doctor` in a process of its own: one line per check, and the exit code."""

import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from chatkit_store import new_id, open_engine
from tests.mcp.conftest import STDIO
from tests.serving import serve
from tests.support.openai_answers import INVALID_API_KEY, Answer
from tests.support.openai_server import OpenAIServer
from tests.workers.conftest import warm  # noqa: F401  a fixture, found by its name
from tests.workers.processes import Nursery, run_command

ROOT = Path(__file__).parents[2]
KEY = "sk-very-secret"

Doctor = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
def doctor(warm: Nursery) -> Doctor:  # noqa: F811  the fixture
    """Run the command, or another one, in a folder; return exit code and output."""

    async def run(folder: Path, *command: str, **settings: str) -> tuple[int, str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "CHATKIT_MODEL": "demo", "OPENAI_API_KEY": KEY}
        log = folder / f"{new_id('log')}.txt"
        process = await run_command(warm, list(command) or ["doctor"], environment | settings, folder, log)
        code = await process.gone(within=180)
        text = process.words()
        assert KEY not in text
        assert "Traceback" not in text
        return code, text

    return run


def endpoint(upstream: OpenAIServer) -> dict[str, str]:
    return {"CHATKIT_MODEL": "gpt-test", "CHATKIT_BASE_URL": upstream.base_url}


def servers(command: str) -> str:
    """Return CHATKIT_MCP_SERVERS with one server that `command` starts."""
    arguments = ", ".join(f'"{argument}"' for argument in STDIO["args"])
    return f'{{"weather": {{"command": "{command}", "args": [{arguments}], "cwd": "{ROOT}"}}}}'


async def test_a_correct_setup_is_confirmed_and_nothing_changes(
    doctor: Doctor, tmp_path: Path, upstream: OpenAIServer
) -> None:
    more = {"CHATKIT_MCP_SERVERS": servers(sys.executable)}
    code, output = await doctor(tmp_path, **endpoint(upstream), **more)
    lines = output.splitlines()
    assert (code, [line.split()[:2] for line in lines]) == (
        0,
        [["ok", name] for name in ("settings", "login", "secrets", "database", "mcp", "agent", "model")],
    )
    assert lines[1].endswith("none (each browser is a user of its own)")
    assert "does not exist yet" in lines[3]
    assert lines[4].endswith("connected")
    assert "Assistant, the default agent; its tools: current_time, " in lines[5]
    assert ", weather, " in lines[5]
    assert lines[6].endswith("gpt-test (compatible) answers")
    assert not (tmp_path / "chatkit.db").exists()
    await doctor(tmp_path, "migrate")
    assert "sqlite, up to date" in (await doctor(tmp_path))[1]


PRODUCTION = {
    "CHATKIT_SECRETS": f"{'9f4c' * 8}27, {'71ab' * 8}93",
    "CHATKIT_PUBLIC_URL": "https://chat.example",
    "CHATKIT_ALLOW_ANONYMOUS": "true",
}


async def test_in_production_a_missing_database_file_is_wrong_because_serve_refuses_it(
    doctor: Doctor, tmp_path: Path
) -> None:
    code, output = await doctor(tmp_path, CHATKIT_ENVIRONMENT="production", **PRODUCTION)
    assert code == 1
    assert "ok     secrets      2 in CHATKIT_SECRETS: the first signs, the others are still accepted" in output
    assert "ok     limits       of an anonymous visitor: threads per user 100, " in output
    assert "ok     public url   https://chat.example; `chatkit-server doctor --url https://chat.example`" in output
    assert "chatkit.db does not exist; run `chatkit-server migrate`" in output


async def test_all_problems_are_reported_at_once(doctor: Doctor, tmp_path: Path, upstream: OpenAIServer) -> None:
    upstream.default = Answer(fail=INVALID_API_KEY)
    (tmp_path / "empty.db").touch()
    code, output = await doctor(
        tmp_path,
        CHATKIT_ENVIRONMENT="production",
        CHATKIT_DATABASE_URL="sqlite:///empty.db",
        CHATKIT_MCP_SERVERS=servers("/no/such/program"),
        **endpoint(upstream),
    )
    lines = output.splitlines()
    wrong = [line for line in lines if line.startswith("WRONG")]
    assert (code, [line.split()[1] for line in wrong]) == (1, ["access"] * 3 + ["database", "mcp", "model"])
    assert [line.split()[3] for line in wrong[:3]] == ["CHATKIT_SECRETS", "CHATKIT_AUTH", "CHATKIT_PUBLIC_URL"]
    assert "run `chatkit-server migrate`" in wrong[3]
    assert "/no/such/program: No such file or directory" in wrong[4]
    assert f"gpt-test (compatible) at {upstream.base_url}: model_auth (status_code=401 " in wrong[5]
    assert wrong[5].endswith("Correct OPENAI_API_KEY.")


async def test_an_unreachable_database_and_model(doctor: Doctor, tmp_path: Path) -> None:
    code, output = await doctor(
        tmp_path,
        CHATKIT_DATABASE_URL="postgresql://user:very-secret@127.0.0.1:1/db",
        CHATKIT_MODEL="gpt-test",
        CHATKIT_BASE_URL="http://127.0.0.1:9/v1",
        CHATKIT_MODEL_RETRIES="0",
    )
    assert code == 1
    assert "The database does not answer: PostgreSQL at 127.0.0.1:1: Connection refused. Make sure" in output
    assert "gpt-test (compatible) at http://127.0.0.1:9/v1: model_unreachable (Connection refused). Make sure" in output
    assert "very-secret" not in output


DESK = """
from agents import Agent, function_tool

@function_tool
def look(number: int) -> str:
    "Look up an order."
    return "sent"

desk = Agent(name="Desk", tools=[look])
manager = Agent(name="Manager", model="gpt-large", handoffs=[desk])

def leaving():
    raise SystemExit(4)


def broken(context):
    raise ValueError("no such customer")

def silly(context):
    return "an agent, honestly"
"""


async def test_the_agent_and_all_of_its_models_are_listed(
    doctor: Doctor, tmp_path: Path, upstream: OpenAIServer
) -> None:
    (tmp_path / "shop.py").write_text(DESK, encoding="utf-8")
    code, output = await doctor(tmp_path, CHATKIT_AGENT="shop:manager", **endpoint(upstream))
    assert [line.split(maxsplit=2)[2] for line in output.splitlines()[-3:]] == [
        "Manager (CHATKIT_AGENT=shop:manager); without tools; hands off to Desk",
        "gpt-large (compatible) of the agent Manager answers",
        "gpt-test (compatible) answers",
    ]
    assert code == 0
    assert [request.body["model"] for request in upstream.requests] == ["gpt-large", "gpt-test"]


async def test_an_exported_workflow_is_listed_with_its_models_and_what_is_unfinished(
    doctor: Doctor, tmp_path: Path, upstream: OpenAIServer
) -> None:
    text = (ROOT / "tests/startup/exports/greeting.txt").read_text(encoding="utf-8")
    placeholder = "from agents import function_tool\n@function_tool\ndef find_offers(n: str):\n  pass\n\n"
    guardrails = 'config = {"guardrails": [{"name": "Contains PII", "config": {"block": False}}]}\n'
    (tmp_path / "greeting.py").write_text(placeholder + guardrails + text, encoding="utf-8")
    code, output = await doctor(tmp_path, CHATKIT_AGENT="greeting:run_workflow", **endpoint(upstream))
    assert [line.split(maxsplit=2)[::2] for line in output.splitlines()[-4:]] == [
        ["ok", "CHATKIT_AGENT=greeting:run_workflow, a workflow of the agents My agent"],
        [
            "WARN",
            "greeting.py, line 3: The tool `find_offers` does nothing yet. Write its body; or, if the page answers it "
            "in onClientTool, put chatkit_server.client_tool in place of function_tool.",
        ],
        [
            "WARN",
            "greeting.py, line 6: The guardrail Contains PII needs a model of spaCy: python -m spacy download "
            "en_core_web_sm.",
        ],
        ["ok", "gpt-5 (compatible) of the agent My agent answers"],
    ]
    assert code == 0
    assert [request.body["model"] for request in upstream.requests] == ["gpt-5"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"CHATKIT_AGENT": "shop:broken"}, "CHATKIT_AGENT=shop:broken raised ValueError: no such customer (shop.py, l"),
        ({"CHATKIT_AGENT": "shop:leaving"}, "SystemExit was raised (shop.py, l"),
        ({"CHATKIT_AGENT": "shop:silly"}, "CHATKIT_AGENT=shop:silly returned a str, not an agents.Agent."),
        (
            {"CHATKIT_AGENT": "shop:desk", "CHATKIT_TOOLS": "look,lok"},
            "CHATKIT_TOOLS offers lok, but the agent Desk has no such tool; it has look.",
        ),
    ],
    ids=["raises", "exits", "returns no agent", "lacks a tool"],
)
async def test_an_agent_that_cannot_answer_is_wrong(
    doctor: Doctor, tmp_path: Path, settings: dict[str, str], words: str
) -> None:
    (tmp_path / "shop.py").write_text(DESK, encoding="utf-8")
    code, output = await doctor(tmp_path, **settings)
    (wrong,) = [line for line in output.splitlines() if line.startswith("WRONG")]
    assert code == 1
    assert words in wrong


async def test_a_misspelled_setting_is_a_warning(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CHATKIT_PRT=9\nOTHER=1\n", encoding="utf-8")
    code, output = await doctor(tmp_path, CHATKIT_ZZZZ="1")
    assert (code, [line for line in output.splitlines() if line.startswith("WARN")]) == (
        0,
        [
            "WARN   settings     CHATKIT_ZZZZ is not a setting and is ignored.",
            "WARN   settings     CHATKIT_PRT in .env is not a setting and is ignored; did you mean CHATKIT_PORT?",
        ],
    )


async def test_an_mcp_server_is_named_without_its_secrets(doctor: Doctor, tmp_path: Path) -> None:
    servers = (
        '{"a": {"command": "/no/program", "args": ["very-secret"]}, "b": {"url": "http://u:very-secret@[::1]:9/x"}}'
    )
    code, output = await doctor(tmp_path, CHATKIT_MCP_SERVERS=servers)
    assert (code, "very-secret" in output) == (1, False)
    assert "/no/program: No such file or directory" in output
    assert "http://[::1]:9: " in output


async def test_a_database_file_that_cannot_be_created_is_wrong(doctor: Doctor, tmp_path: Path) -> None:
    code, output = await doctor(tmp_path, CHATKIT_DATABASE_URL=f"sqlite:///{tmp_path}/no/such/chat.db")
    assert (code, f"chat.db cannot be created: the folder {tmp_path}/no/such does not exist" in output) == (1, True)


async def test_a_database_with_foreign_tables_is_wrong(doctor: Doctor, tmp_path: Path, database_url: str) -> None:
    engine = open_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE threads (id TEXT)"))
    await engine.dispose()
    code, output = await doctor(tmp_path, CHATKIT_DATABASE_URL=database_url)
    assert (code, "has tables that chatkit-server did not create (threads)" in output) == (1, True)


async def test_invalid_settings_are_one_sentence(doctor: Doctor, tmp_path: Path) -> None:
    assert await doctor(tmp_path, CHATKIT_AGENT="nonsense") == (
        1,
        "chatkit-server: CHATKIT_AGENT=nonsense must look like package.module:name, for example my_agents:support, or "
        "my_export:run_workflow for a workflow of Agent Builder.\n",
    )
    code, output = await doctor(tmp_path, CHATKIT_PORT="many")
    assert (code, output.count("\n"), output.partition(":")[0]) == (1, 1, "CHATKIT_PORT")


async def test_a_login_that_cannot_work_now_is_wrong(doctor: Doctor, tmp_path: Path) -> None:
    code, output = await doctor(
        tmp_path,
        CHATKIT_AUTH="jwt",
        CHATKIT_JWT_ISSUER="https://login.example",
        CHATKIT_JWT_AUDIENCE="chat",
        CHATKIT_JWT_JWKS_URL="http://127.0.0.1:9/keys",
        CHATKIT_TURNS_PER_MINUTE="20",
    )
    assert (code, "ok     login        jwt (bearer tokens of an issuer)" in output) == (1, True)
    assert "ok     limits       of a user: turns per minute 20\n" in output
    (wrong,) = [line for line in output.splitlines() if line.startswith("WRONG")]
    assert wrong.split()[1] == "login"
    assert "http://127.0.0.1:9/keys" in wrong


async def test_sessions_that_nobody_can_make_are_wrong(doctor: Doctor, tmp_path: Path) -> None:
    code, output = await doctor(tmp_path, CHATKIT_AUTH="session")
    assert (code, "WRONG  api keys     Nobody can log in: CHATKIT_AUTH=session takes client secrets" in output) == (
        1,
        True,
    )
    assert not (tmp_path / "chatkit.db").exists()
    code, output = await doctor(tmp_path, CHATKIT_AUTH="session", CHATKIT_API_KEYS="7c1e" * 10)
    assert (code, "ok     api keys     1 in CHATKIT_API_KEYS" in output) == (0, True)
    await doctor(tmp_path, "migrate")
    await doctor(tmp_path, "keys", "create")
    assert (await doctor(tmp_path, CHATKIT_AUTH="session"))[0] == 0


async def test_findings_of_a_url_are_json_for_scripts(doctor: Doctor, tmp_path: Path) -> None:
    async with serve(tmp_path) as served:
        code, output = await doctor(tmp_path, "doctor", "--json", "--url", served.url, CHATKIT_WIDGET="open")
    report = json.loads(output)
    assert (code, report["ok"], {finding["mark"] for finding in report["findings"]}) == (0, True, {"ok"})
    assert set(report["findings"][0]) == {"name", "text", "mark"}


async def test_a_wrong_setting_is_json_as_well(doctor: Doctor, tmp_path: Path) -> None:
    code, output = await doctor(tmp_path, "doctor", "--json", CHATKIT_PORT="many")
    report = json.loads(output)
    (finding,) = report["findings"]
    assert (code, report["ok"], finding["mark"], finding["text"].partition(":")[0]) == (
        1,
        False,
        "WRONG",
        "CHATKIT_PORT",
    )
