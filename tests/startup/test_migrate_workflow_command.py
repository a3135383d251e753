"""`chatkit-server migrate-workflow`: what it says of exports of Agent Builder, with the mistakes that those have."""

import py_compile
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values
from typer.testing import CliRunner, Result

from chatkit_server import cli

EXPORTS = Path(__file__).parent / "exports"
"""Not .py: as in Agent Builder, some of them are no Python."""
NEW_SYNTAX = "Needs Python 3.12"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["migrate-workflow", *arguments])


def export(name: str, to: str | None = None) -> str:
    """Put an export into the working directory; return its file's name."""
    path = Path(to or f"{name}.py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((EXPORTS / f"{name}.txt").read_text(encoding="utf-8"), encoding="utf-8")
    return str(path)


def marked(result: Result, mark: str) -> list[str]:
    """Return the notes of one kind."""
    return [line.split(None, 1)[1] for line in result.stdout.splitlines() if line.split(None, 1)[:1] == [mark]]


def test_an_export_of_one_agent_runs_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    result = run(export("greeting"))
    assert (result.exit_code, result.stdout) == (
        0,
        """\
greeting.py

  Works
    ok     line 24: `run_workflow` is the workflow "New agent"; sessions named it wf_6902c65510d48190.
    ok     Answers in text, which stream as messages: My agent.
    ok     OPENAI_API_KEY is set; it must belong to the project of the workflow.

  Not as it was
    NOTE   `trace` uploads nothing unless CHATKIT_TRACING=true; evaluations of traces need that.

  Needs
    NEEDS  Models that the key can use: gpt-5.

Settings for .env
  CHATKIT_AGENT=greeting:run_workflow
Nothing is written yet: add --write.
""",
    )
    assert not Path(".env").exists()


def test_guardrails_approvals_and_placeholders_are_found() -> None:
    result = run(export("retention"))
    assert result.exit_code == 1
    assert marked(result, "ok") == [
        'line 95: `run_workflow` is the workflow "Retention"; sessions named it wf_68e6dd7187248190.',
        "Answers in text, which stream as messages: Retention.",
        "Structured output, which shows as a step: Intent, Card.",
        "line 86: `approval_request` asks the user, with Approve and Reject in the chat.",
        "Guardrails, which run in the server's process: Jailbreak, Contains PII.",
    ]
    assert marked(result, "NOTE")[0] == (
        "line 78: The workflow reads no field of the output of Card. If Agent Builder made a widget of it: the export "
        "does not contain the widget."
    )
    assert marked(result, "NEEDS") == [
        "OPENAI_API_KEY is not set: a key of the project of the workflow, in .env or the environment.",
        "Models that the key can use: gpt-4.1-mini, gpt-4.1, gpt-5-nano.",
        "line 4: `guardrails` cannot be imported: pip install openai-guardrails.",
        "line 19: The guardrail Contains PII needs a model of spaCy: python -m spacy download en_core_web_sm.",
    ]
    assert [text for text in marked(result, "FIX") if NEW_SYNTAX not in text] == [
        "line 9: The tool `find_offers` does nothing yet. Write its body; or, if the page answers it in onClientTool, "
        "put chatkit_server.client_tool in place of function_tool.",
        "line 9: The type of a tool's argument is one of JSON, not of Python. Replace `: string,null` with "
        "`: str | None` (--fix does it).",
        "line 9: `integer` is a type of JSON, not of Python. Replace `: integer` with `: int` (--fix does it).",
        "line 169: This branch is empty. Replace `else:` with `else: pass` (--fix does it).",
    ]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="newer Python reads it")
def test_quotes_within_an_f_string_are_said_to_need_a_newer_python() -> None:
    (text,) = [text for text in marked(run(export("retention")), "FIX") if NEW_SYNTAX in text]
    assert text.startswith("line 150: Needs Python 3.12, and this is Python 3.11; or other quotes. Replace")
    assert "with `{retention_result['output_text']}`" in text


def test_tools_of_openai_are_found_and_no_secret_is_printed() -> None:
    result = run(export("research"))
    assert result.exit_code == 1
    assert marked(result, "ok")[2:] == [
        "`state_variables` of a session replace the defaults of `state`: rounds.",
        "OpenAI runs FileSearchTool, WebSearchTool, CodeInterpreterTool as before.",
        "line 30: Calls of orders ask the user for approval in the chat.",
    ]
    assert marked(result, "NOTE")[1:] == [
        "line 37: A header seems to contain a secret: read it with os.environ, and keep it in .env.",
        "line 46: `authorization` seems to contain a secret: read it with os.environ, and keep it in .env.",
    ]
    assert marked(result, "NEEDS") == [
        "line 30: MCP server orders: OpenAI calls https://orders.example/mcp, which must stay reachable.",
        "line 42: MCP server calendar (connector_googlecalendar): an OAuth token in `authorization`. Agent Builder "
        "renewed it, the export does not.",
        "OPENAI_API_KEY is not set: a key of the project of the workflow, in .env or the environment.",
        "Models that the key can use: gpt-5.",
        "Vector stores of the OpenAI project, which other projects' keys cannot read: vs_68f17be16af48191a4451d42.",
        "Files of the OpenAI project, which other projects' keys cannot read: file-9LGcuZqWtpAEF36R9eDZPb.",
        "line 7: `company_catalogue` cannot be imported: install the package that has the module `company_catalogue`.",
        "line 90: The variable CATALOGUE_TOKEN is not set.",
        "line 90: The variable CATALOGUE_URL is not set.",
    ]
    assert marked(result, "FIX") == [
        'line 37: The export has mangled the name of the header X-API-Key. Replace `"_x-_a_p_i-_key"` with '
        '`"X-API-Key"` (--fix does it).',
        "line 85: `trace` is not defined: it lacks `from agents import trace`. Replace `from agents import` with "
        "`from agents import trace,` (--fix does it).",
        "line 107: The search has no query: query is empty.",
        "line 131: `client.vector_stores.search` of an AsyncOpenAI needs `async for`. Replace `for result in` with "
        "`async for result in` (--fix does it).",
    ]
    for secret in ("4H2kq4kS7O1APsxrPlHJ", "ya29", "secret-project"):
        assert secret not in result.output


@pytest.mark.parametrize(
    ("name", "left"), [("retention", "The tool `find_offers` does nothing"), ("research", "The search has no query")]
)
def test_fix_mends_what_needs_no_decision_and_keeps_the_original(name: str, left: str) -> None:
    file = export(name)
    original = Path(file).read_bytes()
    result = run(file, "--fix")
    assert f"Mended {file}; the original is {file}.orig." in result.stdout
    (text,) = marked(result, "FIX")
    assert left in text
    assert Path(f"{file}.orig").read_bytes() == original
    py_compile.compile(file, doraise=True)
    assert "Mended" not in run(file, "--fix").stdout


@pytest.mark.parametrize(
    ("lines", "mended"),
    [
        (["if x:", "    y = 1", "else:", "", "z = 1"], [3]),
        (["if x:", "else:", "    y = 1"], [1]),
        (["if x:", "    # nothing", "elif y:", "", "else:", "    if z:", "    else:", ""], [1, 3, 6, 7]),
        (["if (", "    x", "):", "z = 1"], [3]),
        (["while x:", "", "z = 1"], []),
    ],
)
def test_empty_branches_are_mended_wherever_they_stand(lines: list[str], mended: list[int]) -> None:
    Path("branches.py").write_text("\n".join(lines), encoding="utf-8")
    result = run("branches.py", "--fix")
    assert Path("branches.py").read_text(encoding="utf-8").split("\n") == [
        f"{line} pass" if number in mended else line for number, line in enumerate(lines, 1)
    ]
    assert ("Python cannot read this" in result.stdout) is (not mended)


def test_a_variable_or_package_that_exists_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("CATALOGUE_URL=https://catalogue.example\nOPENAI_API_KEY=sk-test\n", encoding="utf-8")
    Path("company_catalogue.py").touch()
    monkeypatch.setenv("CATALOGUE_TOKEN", "x")
    needs = " ".join(marked(run(export("research")), "NEEDS"))
    for name in ("CATALOGUE", "company_catalogue", "OPENAI_API_KEY"):
        assert name not in needs


def test_other_fields_of_the_input_come_from_the_session() -> None:
    text = (EXPORTS / "greeting.txt").read_text(encoding="utf-8")
    Path("greeting.py").write_text(text.replace("_text: str\n", "_text: str\n  plan: str\n  seats: int = 1\n"), "utf-8")
    assert "`state_variables` of each session with plan, which the workflow's input demands." in marked(
        run("greeting.py"), "NEEDS"
    )


@pytest.mark.parametrize("name", ["CHATKIT_BASE_URL", "OPENAI_BASE_URL"])
def test_another_endpoint_is_said_to_lack_hosted_tools(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:11434/v1")
    assert marked(run(export("greeting")), "NEEDS")[0].startswith(f"{name} names an endpoint other than OpenAI's")
    monkeypatch.setenv(name, "https://eu.api.openai.com/v1")
    assert marked(run(export("greeting")), "NEEDS")[0].startswith("OPENAI_API_KEY is not set")


def test_write_keeps_all_other_lines_of_env() -> None:
    Path(".env").write_text("# mine\nCHATKIT_AGENT=old:agent\nCHATKIT_PORT=8001\n", encoding="utf-8")
    file = export("greeting", "flows/support/greeting.py")
    shown = run(file)
    assert "  CHATKIT_AGENT=flows.support.greeting:run_workflow    # instead of old:agent\n" in shown.stdout
    assert "old:agent" in Path(".env").read_text(encoding="utf-8")
    assert "Written to .env." in run(file, "--write").stdout
    text = Path(".env").read_text(encoding="utf-8")
    assert text == "# mine\nCHATKIT_AGENT=flows.support.greeting:run_workflow\nCHATKIT_PORT=8001\n"
    assert ".env has them already." in run(file, "--write").stdout


def test_several_workflows_are_served_by_the_ids_of_their_sessions() -> None:
    result = run(export("greeting"), export("research"), "--write")
    assert result.exit_code == 1
    assert "Next: what must be changed in the file, then chatkit-server doctor" in result.stdout
    both = '{"wf_6902c65510d48190": "greeting:run_workflow", "wf_69142c49783c8190": "research:run_workflow"}'
    assert dotenv_values(".env")["CHATKIT_AGENT"] == both
    run(export("retention"), "--write")
    third = both[:-1] + ', "wf_68e6dd7187248190": "retention:run_workflow"}'
    assert dotenv_values(".env")["CHATKIT_AGENT"] == third


def test_files_with_the_same_workflow_id_do_not_hide_each_other() -> None:
    result = run(export("greeting"), export("greeting", "newer.py"), export("greeting"))
    assert "greeting.py gets the sessions with the id wf_6902c65510d48190." in result.stdout
    both = '{"wf_6902c65510d48190": "greeting:run_workflow", "newer": "newer:run_workflow"}'
    assert f"  CHATKIT_AGENT={both}\n" in result.stdout


@pytest.mark.parametrize(
    "run_it",
    ["return await Runner.run(agent, 'x')", "await asyncio.gather(Runner.run(agent, 'x'))", "return await helper()"],
)
def test_a_workflow_that_runs_its_agent_somehow_is_not_said_to_run_none(run_it: str) -> None:
    Path("flow.py").write_text(
        "import asyncio\nfrom agents import Agent, Runner\nagent = Agent(name='A')\n"
        "async def helper():\n    return await Runner.run(agent, 'x')\n"
        f"async def run_workflow(workflow_input):\n    {run_it}\n",
        encoding="utf-8",
    )
    assert marked(run("flow.py"), "NOTE") == []


def test_a_workflow_with_other_parameters_is_not_served_as_its_agent() -> None:
    Path("flow.py").write_text(
        "from agents import Agent\nagent = Agent(name='A')\nasync def run_workflow(args, workflow_input): ...",
        encoding="utf-8",
    )
    result = run("flow.py", "--write")
    assert (result.exit_code, marked(result, "ok")) == (1, [])
    assert not Path(".env").exists()


def test_a_server_class_that_would_answer_instead_is_told() -> None:
    Path(".env").write_text("CHATKIT_SERVER=shop:MyServer\n", encoding="utf-8")
    assert "CHATKIT_SERVER is set as well: remove it" in run(export("greeting")).stdout


def test_calls_that_let_all_users_wait_are_told() -> None:
    Path("slow.py").write_text(
        "import time, requests\nfrom openai import OpenAI\nclient = OpenAI()\nclient.models.list()\n"
        "async def run_workflow(workflow_input):\n    client.vector_stores.search('vs', query='q')\n"
        "    requests.get('https://shop.example')\n    time.sleep(1)\n",
        encoding="utf-8",
    )
    wait = "lets all users of the server wait: use an asynchronous one."
    assert marked(run("slow.py"), "NOTE")[1:] == [
        f"line 6: client.vector_stores.search {wait}",
        f"line 7: requests.get {wait}",
        f"line 8: time.sleep {wait}",
    ]


def test_a_variable_of_the_environment_that_hides_env_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATKIT_AGENT", "old:agent")
    assert "The environment has another CHATKIT_AGENT" in run(export("greeting"), "--write").stdout


NOT_WORKFLOWS = [
    (
        "export.ts",
        'import { Agent } from "@openai/agents";',
        "This is the TypeScript export; the server runs the Python",
    ),
    ("export.py", "export const runWorkflow = async (workflow) => {}", "This is the TypeScript export"),
    ("export.json", '{"nodes": []}', "This is JSON."),
    ("export.py", "async def run_workflow(workflow_input:\n  pass", "line 1: Python cannot read this ("),
    ("export.py", "x = 1\n\0", "Python cannot read this (source code "),
    ("export.py", "x = 1", "neither an `async def run_workflow(workflow_input)` nor an Agent"),
    ("backend.py", "client.beta.chatkit.sessions.create(user='ada')", "This calls the hosted API"),
    (
        "shop.py",
        "from chatkit.server import ChatKitServer\nclass Shop(ChatKitServer):\n    def __init__(self, store): ...",
        "line 2: The constructor of Shop needs arguments",
    ),
    ("export.py", "async def main(text: str): ...", "neither an `async def run_workflow(workflow_input)` nor an Agent"),
    ("export.py", "from agents import Agent\na = Agent(name='A')\nb = Agent(name='B')", "there are the agents a, b"),
    ("export.py", "def run_workflow(workflow_input): ...", "line 1: `run_workflow` must be `async def`."),
    ("my-export.py", "async def run_workflow(workflow_input): ...", "rename it, for example to my_export.py."),
    ("2nd.py", "async def run_workflow(workflow_input): ...", "rename it, for example to workflow_2nd.py."),
    ("agents.py", "async def run_workflow(workflow_input): ...", "`agents` is already the name of a package"),
    ("types.py", "async def run_workflow(workflow_input): ...", "`types` is already the name of a package"),
    ("../export.py", "async def run_workflow(workflow_input): ...", "move export.py into "),
    (
        "export.py",
        "from agents import Runner\nasync def run_workflow(workflow_input):\n    Runner.run_sync(1)",
        "run_sync",
    ),
    (
        "export.py",
        "import asyncio\nasync def run_workflow(workflow_input): ...\nasyncio.run(run_workflow(1))",
        "imports",
    ),
    ("export.py", "import uvicorn\nasync def run_workflow(workflow_input): ...\nuvicorn.run('x')", "uvicorn.run at mo"),
    ("export.py", "async def run_workflow(workflow_input, user): ...", "others need defaults"),
    (
        "export.py",
        "class Flow:\n    async def run_workflow(self, workflow_input): ...",
        "line 1: `run_workflow` is a method of Flow",
    ),
    ("export.py", "async def run_workflow(workflow_input):\n    return input()", "keyboard of the server"),
    (
        "export.py",
        "async def run_workflow(workflow_input):\n    if 1:\n        yield 2",
        "line 3: `run_workflow` must `return`",
    ),
    (
        "export.py",
        "async def run_workflow(workflow_input):\n    return helper(1)",
        "`helper` is not defined: define or",
    ),
]


@pytest.mark.parametrize(("name", "text", "words"), NOT_WORKFLOWS)
def test_what_cannot_be_served_is_refused_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, words: str
) -> None:
    (tmp_path / "server").mkdir()
    monkeypatch.chdir(tmp_path / "server")
    Path(name).write_text(text, encoding="utf-8")
    result = run(name)
    assert result.exit_code == 1
    assert any(words in text for text in marked(result, "FIX")), result.stdout


SERVED = [
    ("from agents import Agent\nsupport = Agent(name='A')", "CHATKIT_AGENT=module:support"),
    (
        "from chatkit.server import ChatKitServer\nclass MyServer(ChatKitServer[dict]): ...",
        "CHATKIT_SERVER=module:MyServer",
    ),
    (
        "from chatkit.server import ChatKitServer\nclass MyServer(ChatKitServer[dict]):\n"
        "    def __init__(self, store): ...\nserver = MyServer(1)",
        "CHATKIT_SERVER=module:server",
    ),
    (
        "from pydantic import BaseModel\nclass In(BaseModel):\n    input_as_text: str\nasync def flow(given: In): ...",
        "CHATKIT_AGENT=module:flow",
    ),
]


@pytest.mark.parametrize(("text", "setting"), SERVED)
def test_what_is_not_an_export_but_can_be_served_gets_its_setting(text: str, setting: str) -> None:
    Path("module.py").write_text(text, encoding="utf-8")
    result = run("module.py")
    assert result.exit_code == 0
    assert f"  {setting}\n" in result.stdout


def test_the_file_is_never_imported() -> None:
    Path("module.py").write_text(
        "import pathlib\npathlib.Path('imported').touch()\nasync def run_workflow(workflow_input): ...",
        encoding="utf-8",
    )
    assert run("module.py", "--write").exit_code == 0
    assert not Path("imported").exists()


def test_a_file_that_does_not_exist_is_told() -> None:
    result = run("nowhere.py")
    assert (result.exit_code, marked(result, "FIX")) == (1, ["The file cannot be read: No such file or directory."])
