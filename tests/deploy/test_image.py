"""The steps of the Dockerfile without Docker, in clean folders: what they make serves, and writes nothing but /data.

The stage that builds the page is left out: `make` builds the same page with the same commands.
"""

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.deploy.document import block
from tests.serving import SECRET, Tab
from tests.support.ports import free_port
from tests.workers.processes import ROOT

AGENT = """
from agents import Agent

support = Agent(name="support")
"""
PAGE = "--from=page"
PATIENCE = 120


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Return the name and the rest of each instruction."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            yield name, rest.strip()


@dataclass
class Image:
    """A folder in place of an image's root: /app, /build and /data are folders in it."""

    root: Path
    environment: dict[str, str]
    stage: str = ""
    directory: Path = Path()
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def at(self, text: str) -> str:
        """Return the text with the image's paths."""
        return re.sub(r"(?<![\w.])/(app|build|data)\b", rf"{self.root}/\1", text)

    def build(self, dockerfile: str, context: Path) -> None:
        """Carry the instructions out, with the context's files."""
        for name, rest in instructions(dockerfile):
            if name == "FROM":
                self.stage, self.directory = rest, self.root / "app"
            elif " AS page" not in self.stage:
                self._carry_out(name, rest, context)

    def _carry_out(self, name: str, rest: str, context: Path) -> None:
        match name:
            case "RUN" if not rest.startswith(("useradd", "install -d")):
                self.run(["sh", "-euc", self.at(rest)])
            case "COPY":
                self._copy(rest, context)
            case "WORKDIR":
                self.directory = Path(self.at(rest))
                self.directory.mkdir(parents=True, exist_ok=True)
            case "ENV":
                for pair in shlex.split(rest):
                    variable, _, value = pair.partition("=")
                    value = re.sub(r"\$(\w+)", lambda match: self.environment[match[1]], self.at(value))
                    self.environment[variable] = value
            case "ARG" if "=" in rest:
                self.environment.setdefault(*rest.split("=", 1))
            case "CMD":
                self.command = _words(rest)
            case "HEALTHCHECK":
                self.health = _words(rest.partition("CMD ")[2])

    def _copy(self, rest: str, context: Path) -> None:
        *names, target = rest.split()
        goal = self.directory / self.at(target)
        if names[0].startswith("--from=build"):
            return  # the stages share the folder
        from_page = names[0] == PAGE
        for name in names[1:] if from_page else names:
            source = ROOT / "web" / "dist" if from_page else context / name
            if source.is_dir():
                shutil.copytree(source, goal, ignore=shutil.ignore_patterns("__pycache__", "page"), dirs_exist_ok=True)
            else:
                shutil.copy(source, goal / name if target.endswith("/") else goal)

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. Fails with its output."""
        done = subprocess.run(
            command, cwd=self.directory, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
        return done

    def files(self) -> set[tuple[str, int, int]]:
        """Return what is in /app, with times and sizes."""
        paths = (path for path in (self.root / "app").rglob("*") if path.is_file() and not path.is_symlink())
        return {(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in paths}


def _words(rest: str) -> list[str]:
    words: list[str] = json.loads(rest)
    return words


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Build the image, and one on top of it as in the document."""
    root = tmp_path_factory.mktemp("image")
    for name in ("app", "data", "home"):
        (root / name).mkdir()
    subprocess.run([sys.executable, "-m", "venv", str(root / "python")], check=True)
    registry = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_"))}
    paths = {"PATH": f"{root}/python/bin:{os.environ['PATH']}", "HOME": os.environ.get("HOME", "/")}
    image = Image(root, registry | paths)
    image.build((ROOT / "Dockerfile").read_text(encoding="utf-8"), ROOT)
    (root / "context").mkdir()
    (root / "context" / "my_agents.py").write_text(AGENT, encoding="utf-8")
    image.build(block("dockerfile", "FROM chatkit-server"), root / "context")
    image.environment = {
        name: value for name, value in image.environment.items() if name.startswith(("PATH", "PYTHON", "CHATKIT_"))
    } | {"HOME": str(root / "nowhere"), "TMPDIR": str(root / "home")}
    return image


def test_the_dockerignore_lets_pass_what_is_copied() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = {
        name
        for instruction, rest in instructions(dockerfile)
        if instruction == "COPY" and not rest.startswith("--from")
        for name in rest.split()[:-1]
    }
    kept = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE))
    for name in copied:
        assert name.split("/")[0] in kept or (name.endswith(".md") and "*.md" in kept), name


def test_production_demands_its_settings(image: Image) -> None:
    done = subprocess.run(
        image.command, cwd=image.directory, env=image.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "CHATKIT_SECRETS" in done.stderr
    assert "Traceback" not in done.stderr


async def test_the_image_serves_and_writes_to_data_only(image: Image) -> None:
    port = free_port()
    environment = image.environment | {
        "CHATKIT_SECRETS": SECRET,
        "CHATKIT_PUBLIC_URL": "http://chat.example.com",
        "CHATKIT_ALLOW_ANONYMOUS": "true",
        "CHATKIT_AGENT": "my_agents:support",
        "CHATKIT_MODEL": "demo",
        "CHATKIT_HOST": "127.0.0.1",
        "CHATKIT_PORT": str(port),
    }
    before = image.files()
    migration = await asyncio.create_subprocess_exec("chatkit-server", "migrate", cwd=image.directory, env=environment)
    assert await migration.wait() == 0
    process = await asyncio.create_subprocess_exec(*image.command, cwd=image.directory, env=environment)
    try:
        async with asyncio.timeout(PATIENCE):
            health = 1
            while health:
                check = await asyncio.create_subprocess_exec(*image.health, env=environment, stderr=subprocess.DEVNULL)
                health = await check.wait()
                assert process.returncode is None
        async with Tab(f"http://127.0.0.1:{port}") as tab:
            reply = await tab.create("Hello")
            assert (reply.status, reply.error) == (200, None)
            assert reply.text
            async with tab.session.get(f"http://127.0.0.1:{port}/") as page:
                assert "<script" in await page.text()
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            await process.wait()
    assert image.files() == before
    assert (image.root / "data" / "chatkit.db").exists()
    assert not (image.root / "nowhere").exists()
