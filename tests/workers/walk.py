"""Walk through a document: save its modules, and run its commands in their order, each once."""

import asyncio
import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from tests.workers.processes import ROOT, Nursery, Worker, run_command

SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MODULE = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DEFAULT_ADDRESS = "localhost:8000"


@dataclass
class Walk:
    """The terminals of somebody who follows a document. A server listens on a free port in place of 8000."""

    nursery: Nursery
    folder: Path
    path: str
    """The document, from the root of the repository."""
    environment: dict[str, str] = field(default_factory=dict)
    servers: list[Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.text = (ROOT / self.path).read_text(encoding="utf-8")
        self.environment |= {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'store'}"}
        for name, code in MODULE.findall(self.text):
            (self.folder / name).write_text(code, encoding="utf-8")

    async def run(self) -> list[str]:
        """Run all commands; return what each of those that end has written."""
        lines = [line for block in SHELL.findall(self.text) for line in block.replace("\\\n", " ").splitlines()]
        outputs = [await self._run(line) for line in lines if line.strip()]
        return [output for output in outputs if output is not None]

    async def close(self) -> None:
        """End the servers."""
        for server in self.servers:
            server.terminate()
            await server.gone()

    async def _run(self, line: str) -> str | None:
        words = shlex.split(line)
        if words[0] == "export":
            self.environment |= dict(word.split("=", 1) for word in words[1:])
            return None
        if words[0] != "chatkit-server":
            return await self._run_in_shell(line)
        log = self.folder / f"command-{len(list(self.folder.glob('command-*')))}.log"
        if words[1] == "serve":
            command = [*words[1:], "--port", "0"]
            server = await run_command(self.nursery, command, self.environment, self.folder, log)
            self.servers.append(await server.ready())
            return None
        process = await run_command(self.nursery, words[1:], self.environment, self.folder, log)
        code = await process.gone(within=180)
        assert code == 0, process.words()
        return process.words()

    async def _run_in_shell(self, line: str) -> str:
        if self.servers:
            line = line.replace(DEFAULT_ADDRESS, self.servers[-1].url.removeprefix("http://"))
        process = await asyncio.create_subprocess_shell(
            line, cwd=self.folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(180):
            output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return output.decode()


def streamed_text(output: str) -> str:
    """Return the text of a streamed answer, as curl wrote it."""
    return "".join(re.findall(r'"token":"((?:[^"\\]|\\.)*)"', output))
