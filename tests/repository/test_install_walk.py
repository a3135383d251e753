"""The commands of docs/install.md in an empty folder: an empty venv, a new project, an answer, the project's own test.

The packages come from this checkout, and theirs from the index in the versions of requirements.lock.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import release
from tests.repository.checkout import ROOT
from tests.support.ports import free_port

DOCUMENT = ROOT / "docs/install.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVE = "chatkit-server serve\n"
IN_BACKGROUND = """\
chatkit-server serve > ../serve.log 2>&1 & SERVER=$!
trap 'kill "$SERVER"; wait "$SERVER" || :' EXIT
for _ in $(seq 600); do
  curl -sf http://127.0.0.1:8000/readyz > ../ready.json && break
  kill -0 "$SERVER"
  sleep 0.2
done
cp "$(command -v chatkit-server)" ../command
"""


def walk() -> str:
    """Return the commands of the first section as one script, with the server in the background."""
    section = DOCUMENT.read_text(encoding="utf-8").partition("\n## What is installed")[0]
    commands = "".join(BLOCK.findall(section))
    assert commands.count(SERVE) == 1
    return "set -eu\n" + commands.replace(SERVE, IN_BACKGROUND)


def packages() -> str:
    """Return the commands that take the packages from a folder, in the environment of the walk."""
    section = DOCUMENT.read_text(encoding="utf-8").partition("\n## Build the packages yourself")[2]
    (commands,) = BLOCK.findall(section)
    return f"set -eu\n. walk/.venv/bin/activate\n{commands}"


@pytest.mark.installs
@pytest.mark.skipif(not (ROOT / "web/dist/index.html").exists(), reason="the page is not built (make web)")
def test_a_newcomer_installs_writes_a_project_chats_and_tests_it(tmp_path: Path) -> None:
    release.build(tmp_path / "dist")
    pins = re.findall(r"^[\w.-]+==[^\s;\\]+", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)
    pins += [f"{name}=={release.version()}" for name in ("chatkit-server", "chatkit-store")]
    (tmp_path / "pins.txt").write_text("\n".join(pins), encoding="utf-8")
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {
        "CHATKIT_PORT": str(port),
        "PIP_FIND_LINKS": str(tmp_path / "dist"),
        "PIP_CONSTRAINT": str(tmp_path / "pins.txt"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_COMPILE": "1",  # only slows an environment that is used once
        "NO_PROXY": "127.0.0.1",
    }
    (tmp_path / "walk").mkdir()
    script = walk().replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path / "walk",
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    log = tmp_path / "walk/serve.log"
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{log.read_text() if log.exists() else ''}"

    events = [json.loads(line[6:]) for line in done.stdout.splitlines() if line.startswith("data: ")]
    tokens = [event["token"] for event in events if "token" in event]
    assert len(tokens) > 1, "the answer must arrive in parts"
    assert "shipped yesterday" in "".join(tokens)
    assert (events[-1]["done"], events[-1]["status"]) == (True, "completed")
    assert re.search(r"^=+ 1 passed in ", done.stdout, re.MULTILINE)

    assert str(tmp_path) in (tmp_path / "walk/command").read_text(encoding="utf-8"), "not the installed command"
    assert "a script answers" in log.read_text(encoding="utf-8")
    version = subprocess.run(
        [tmp_path / "walk/.venv/bin/python", "-m", "chatkit_server", "--version"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert version.stdout.strip() == release.version()

    uv = {"UV_CONSTRAINT": str(tmp_path / "pins.txt"), "PATH": f"{os.environ['PATH']}:{Path(sys.executable).parent}"}
    installed = subprocess.run(
        ["bash", "-c", packages()], cwd=tmp_path, env=environment | uv, capture_output=True, text=True, check=False
    )
    assert installed.returncode == 0, installed.stdout + installed.stderr
    assert "asyncpg" in installed.stdout
    assert installed.stdout.splitlines()[-1] == release.version(), "uvx runs the command of the same packages"
