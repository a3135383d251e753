"""docs/migrate.md: a workflow that stays in Node, behind a function that asks it."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatkit_server import create_app
from tests.serving import Served, make_settings
from tests.support.live_server import live

DOCUMENT = (Path(__file__).parents[2] / "docs/migrate.md").read_text(encoding="utf-8")
EXPORT = """
export const runWorkflow = async (workflow) => ({ output_text: `Node has read: ${workflow.input_as_text}` });
"""
PRINT_PORT = ".on('listening', function () { console.log(this.address().port) }).listen(0"


def block(language: str, name: str) -> str:
    """Return the block of the document that begins with a comment of its file's name."""
    (text,) = re.findall(rf"^```{language}\n\S+ {re.escape(name)}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    return str(text)


@pytest.fixture
def port(tmp_path: Path) -> Iterator[str]:
    """The port of the service."""
    node = shutil.which("node")
    assert node is not None  # `make test` needs it anyway
    (tmp_path / "support_workflow.mjs").write_text(EXPORT, encoding="utf-8")
    service = block("js", "service.mjs").replace(".listen(4000", PRINT_PORT)
    (tmp_path / "service.mjs").write_text(service, encoding="utf-8")
    with subprocess.Popen([node, "service.mjs"], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


async def test_the_answer_of_a_workflow_in_node_is_shown_and_saved(
    tmp_path: Path, port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = block("python", "in_node.py").replace("127.0.0.1:4000", f"127.0.0.1:{port}")
    (tmp_path / "in_node.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    app = create_app(make_settings(tmp_path, agent="in_node:run_workflow"))
    async with live(app) as url, Served(app, url).tab() as tab:
        reply = await tab.create("Hello")
        assert (reply.error, reply.text) == (None, "Node has read: Hello")
        assert (await tab.reload(reply.thread_id)).items == tab.pictures[reply.thread_id].items
