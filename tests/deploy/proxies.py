"""Run a real proxy with a configuration of the documents."""

import asyncio
import os
import ssl
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.support.ports import listening

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
PATIENCE = 30


def browser(url: str | None = None) -> aiohttp.ClientSession:
    """Return a client that takes the proxy's certificate, and cookies of an IP address."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return aiohttp.ClientSession(
        url,
        connector=aiohttp.TCPConnector(ssl=context),
        cookie_jar=aiohttp.CookieJar(unsafe=True),
        timeout=aiohttp.ClientTimeout(total=PATIENCE),
    )


def nginx_with(servers: str, folder: Path) -> list[str]:
    """Write a configuration of these `server` blocks, within the rest that Debian has; return the command."""
    paths = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;" if os.geteuid() == 0 else ""  # pytest's folders are for their user only
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; pid {folder}/pid; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; {paths}\n{servers}}}\n",
        encoding="utf-8",
    )
    return ["nginx", "-e", "stderr", "-c", str(folder / "nginx.conf")]


@asynccontextmanager
async def running(command: list[str], folder: Path, port: int) -> AsyncIterator[Process]:
    """Run a proxy, from when it listens on the port."""
    environment = os.environ | {"PATH": PATH, "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "proxy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=log, stderr=log)
    try:
        await listening(port)
        yield process
    except TimeoutError:
        raise RuntimeError((folder / "proxy.log").read_text(encoding="utf-8")) from None
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
