"""`chatkit-server new`. What the project does is tried in tests/repository/test_install_walk.py."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import aiohttp
import pytest
from typer.testing import CliRunner

from chatkit_server.cli import app
from chatkit_server.settings import Settings, unknown_settings, variables_of
from scripts import release
from tests.serving import serve

FILES = {
    *("my_agent.py", "my_actions.py", "tests/test_my_agent.py", ".env", ".gitignore", ".dockerignore"),
    *("pyproject.toml", "README.md", "Dockerfile", "compose.yaml"),
}


def new(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["new", *arguments])
    return result.exit_code, result.output


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_project_is_written_and_the_next_steps_are_printed(tmp_path: Path) -> None:
    code, printed = new("My chat")
    assert code == 0
    assert "cd 'My chat'\n" in printed
    assert "chatkit-server serve" in printed
    assert files_in(tmp_path / "My chat") == FILES
    texts = [(tmp_path / "My chat" / name).read_text(encoding="utf-8") for name in FILES]
    assert not any("{{" in text for text in texts)


async def test_with_a_page_it_is_written_and_served(tmp_path: Path) -> None:
    assert new("chat", "--page")[0] == 0
    assert files_in(tmp_path / "chat") == FILES | {"page/index.html"}
    assert "\nCHATKIT_PAGE_DIR=page\n" in (tmp_path / "chat/.env").read_text(encoding="utf-8")
    async with serve(tmp_path, page_dir=tmp_path / "chat/page") as served, aiohttp.ClientSession(served.url) as http:
        async with http.get("/") as response:
            assert "<title>chat</title>" in await response.text()


def test_the_image_has_the_agent_and_files_of_the_project(tmp_path: Path) -> None:
    """`.env` is not in it: what it sets must not be missing there."""
    new(".")
    dockerfile, settings = (tmp_path / "Dockerfile").read_text("utf-8"), (tmp_path / ".env").read_text("utf-8")
    assert set(re.findall(r"^CHATKIT_\w+=.*$", settings, re.MULTILINE)) <= set(re.findall(r"CHATKIT_\S+", dockerfile))
    variables = {variable for name in Settings.model_fields for variable in variables_of(name)}
    texts = dockerfile + (tmp_path / "compose.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"CHATKIT_\w+", texts)) <= variables
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE)
    assert [name for names in copied for name in names.split() if not (tmp_path / name).exists()] == []


def test_the_working_directory_can_become_a_project(tmp_path: Path) -> None:
    code, printed = new(".")
    assert (code, files_in(tmp_path)) == (0, FILES)
    assert "cd " not in printed


def test_the_settings_are_known() -> None:
    new(".")
    Path(".env").write_text(Path(".env").read_text(encoding="utf-8").replace("\n#", "\n"), encoding="utf-8")
    assert unknown_settings() == []


@pytest.mark.parametrize(
    ("folder", "words"),
    [("full", "exists and is not empty"), ("full/file", "is not a folder"), ("full/file/x", "is not a folder")],
)
def test_nothing_that_exists_is_overwritten(tmp_path: Path, folder: str, words: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("mine", encoding="utf-8")
    code, printed = new(folder)
    assert code == 2
    assert words in printed
    assert files_in(tmp_path) == {"full/file"}
    assert (tmp_path / "full/file").read_text(encoding="utf-8") == "mine"


@pytest.mark.skipif(not (release.ROOT / ".git").exists(), reason="names the version of a checkout")
def test_the_project_is_a_package_that_needs_this_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatkit_server.startup.new_command.__version__", release.version())
    new("My chat_2")
    project = tomllib.loads((tmp_path / "My chat_2/pyproject.toml").read_text(encoding="utf-8"))["project"]
    minor = release.version().rpartition(".")[0]
    assert (project["name"], project["dependencies"]) == ("my-chat-2", [f"chatkit-server[postgres,fast]=={minor}.*"])
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(command, cwd=tmp_path / "My chat_2", capture_output=True, check=True)
    assert [path.name for path in tmp_path.glob("*/dist/*.whl")] == ["my_chat_2-0.1.0-py3-none-any.whl"]
