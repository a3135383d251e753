"""The walk of docs/database.md: each of its commands, with a PostgreSQL that demands TLS and a real PgBouncer."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatkit_server.errors.database_problem import explain_database_error
from chatkit_store import StoreError, open_engine
from chatkit_store.migrations import current
from chatkit_store.urls import check_url
from tests.databases import Postgres
from tests.migrations.test_migrations import REVISIONS
from tests.store.tls import local_certificate
from tests.support.managed_postgres import (
    TRUSTING,
    ManagedPostgres,
    needs_pgbouncer,
    needs_tls,
    run_managed_postgres,
    run_pgbouncer,
)
from tests.support.ports import free_port
from tests.workers.processes import ROOT, install_command

PAGE = (ROOT / "docs" / "database.md").read_text(encoding="utf-8")
MAKE_ROLE, CONNECT, ASK, POOLED, APART = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S)
(PGBOUNCER_INI,) = re.findall(r"^```ini\n(.*?)^```$", PAGE, re.M | re.S)
PASSWORD = "p@ss/w#rd?"
SHELL = "set -eo pipefail\ntrap 'kill $(jobs -p) 2> /dev/null || true; wait' EXIT\n"
"""Ends at the first command that fails, and then the server that a block has started."""


@pytest.fixture(scope="module")
def managed() -> Iterator[ManagedPostgres]:
    with run_managed_postgres() as server:
        yield server


class Terminal:
    """A newcomer's shell in a folder, where the page's hosts and ports are those of the test."""

    def __init__(self, folder: Path, managed: ManagedPostgres) -> None:
        self.folder = folder
        self.names = {"db.example.com:5432": f"localhost:{managed.port}"}
        shutil.copy(managed.certificate, folder / "ca.pem")
        installed = install_command(folder)
        self.environment = installed | {
            "PATH": f"{managed.server.programs}:{installed['PATH']}",
            "HOME": str(folder),
            "ADMIN_URL": managed.server.url("postgres") + f"&port={managed.port}",
            "CHATKIT_MODEL": "demo",
        }

    def run(self, *blocks: str) -> str:
        """Run blocks of the page as one script, and return what they print."""
        port = free_port()
        script = SHELL + "\n".join(blocks)
        for name, place in {**self.names, "localhost:8000": f"localhost:{port}"}.items():
            script = script.replace(name, place)
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment | {"CHATKIT_PORT": str(port)},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def answer_in(output: str) -> str:
    """Return the streamed answer that curl has printed."""
    events = [json.loads(line.removeprefix("data: ")) for line in output.splitlines() if line.startswith("data: ")]
    assert events[-1]["status"] == "completed"
    tokens = [event["token"] for event in events if "token" in event]
    assert len(tokens) > 1
    return "".join(tokens)


@needs_tls
@needs_pgbouncer
def test_every_command_of_the_page_works_in_its_order(managed: ManagedPostgres, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, managed)
    terminal.run(MAKE_ROLE)
    output = terminal.run(CONNECT, ASK)
    assert f"Applied {len(REVISIONS)} migration(s).\nok     database     postgresql, up to date\n" in output
    answer = answer_in(output)
    assert "user|Hello" in output.replace(" ", "")
    assert answer[:20] in output.rpartition("assistant")[2]

    users = f'"chat" "{PASSWORD}"'
    settings = PGBOUNCER_INI.replace("host=db.example.com port=5432", f"host=localhost port={managed.port}")
    files = {"userlist.txt": users, "ca.pem": managed.certificate.read_text(encoding="utf-8")}
    with run_pgbouncer(settings, files) as port:
        terminal.names["127.0.0.1:6432"] = f"127.0.0.1:{port}"
        assert answer_in(terminal.run(POOLED)) == answer
        (export,) = re.findall(r"^export CHATKIT_DATABASE_URL=.*$", POOLED, re.M)
        assert f"Applied {len(REVISIONS)} migration(s)." in terminal.run(export, APART)
    schemas = "SELECT table_schema FROM information_schema.tables WHERE table_name = 'threads'"
    assert sorted(managed.server.run_sql(schemas, "chat").split()) == ["chat", "public"]


def test_the_urls_of_providers_can_be_used(tmp_path: Path) -> None:
    local_certificate(tmp_path)
    (tmp_path / "certificate.pem").rename("ca.pem")
    urls = re.findall(r"^\| .*? \| `(postgres\S+)`", PAGE, re.M)
    assert len(urls) == 7
    for url in urls:
        check_url(url)


@needs_tls
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("sslmode=disable", "accepts only encrypted connections. Put sslmode=require into CHATKIT_DATABASE_URL"),
        ("sslmode=verify-full", "(self-signed certificate). Name its provider's certificate as sslrootcert"),
        ("target_session_attrs=standby", "is not what target_session_attrs"),
        ("dbname=none", "has no database none. Create it"),
        ("password=wrong", "rejects the user app"),
    ],
)
async def test_a_connection_that_is_refused_is_explained(managed: ManagedPostgres, query: str, words: str) -> None:
    assert words in await problem_of(managed.url("app", query))


@needs_pgbouncer
async def test_what_pgbouncer_refuses_is_explained(postgres: Postgres) -> None:
    settings = TRUSTING.format(folder=postgres.folder)
    with run_pgbouncer(settings, {"userlist.txt": '"postgres" ""'}) as port:
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        assert "refuses the parameter options. Remove it" in await problem_of(f"{url}?options=-c%20work_mem%3D8MB")
        assert "has no TLS, which sslmode demands" in await problem_of(f"{url}?sslmode=require")


async def problem_of(url: str) -> str:
    """Return what an administrator reads of a database that cannot be used."""
    engine = open_engine(url)
    try:
        with pytest.raises(StoreError) as raised:
            await current(engine)
        return explain_database_error(raised.value, engine.url)
    finally:
        await engine.dispose()
