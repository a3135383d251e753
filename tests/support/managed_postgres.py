"""PostgreSQL as providers run it: TLS with a certificate, passwords, and PgBouncer in front.

The PostgreSQL of the other tests is built without TLS, so this one is Debian's (`postgresql`), as is `pgbouncer`.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.databases import Postgres, folder_of_server
from tests.store.tls import local_certificate
from tests.support.ports import free_port

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
PROGRAMS = max(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[4]), default=None)
needs_pgbouncer = pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed (.ci/run does)")
needs_tls = pytest.mark.skipif(PROGRAMS is None, reason="Debian's postgresql is not installed (.ci/run does)")
PASSWORD = "p@ss:w/rd?#[1]%&=+ é"
"""A password with what a URL may not contain."""

ACCESS = """
local all postgres trust
hostssl all all all scram-sha-256
"""
TRUSTING = """
[databases]
* = host={folder}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = 6432
pool_mode = transaction
default_pool_size = 2
server_login_retry = 0.2
auth_type = trust
auth_file = /etc/pgbouncer/userlist.txt
"""
"""The settings of a PgBouncer in front of a server without passwords, which has its socket in `folder`."""


@dataclass(frozen=True)
class ManagedPostgres:
    """A PostgreSQL that only encrypted connections with a password reach, from 127.0.0.1 and ::1."""

    server: Postgres
    port: int
    certificate: Path
    role: str = "app"

    def url(self, database: str, query: str, *, host: str = "localhost", port: int = 0) -> str:
        """Return the URL of a database as its provider shows it; `{certificate}` in the query is the file's path."""
        query = query.format(certificate=self.certificate)
        return f"postgres://{self.role}:{quote(PASSWORD, safe='')}@{host}:{port or self.port}/{database}?{query}"


@contextlib.contextmanager
def run_managed_postgres() -> Iterator[ManagedPostgres]:
    """Start the server with an empty database `app`, which the role `app` owns."""
    assert PROGRAMS is not None
    with folder_of_server() as (folder, user):
        port = free_port()
        _, certificate = local_certificate(folder)
        for file in (certificate, folder / "key.pem"):
            file.chmod(0o600)
            os.chown(file, -1 if user is None else user, -1)
        options = (
            *("listen_addresses=127.0.0.1,::1", "ssl=on"),
            *(f"ssl_cert_file={certificate}", f"ssl_key_file={folder / 'key.pem'}"),
        )
        server = Postgres(PROGRAMS.parent, folder, user, port, options)
        server.initialize()
        (folder / "data" / "pg_hba.conf").write_text(ACCESS, encoding="utf-8")
        with server.running():
            server.run_sql(f"CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'")
            server.create("app", "app")
            yield ManagedPostgres(server, port, certificate)


@contextlib.contextmanager
def run_pgbouncer(settings: str, files: Mapping[str, str]) -> Iterator[int]:
    """Start PgBouncer and yield its port of 127.0.0.1, which 6432 stands for; `files` are those of /etc/pgbouncer."""
    assert PGBOUNCER is not None
    with folder_of_server() as (folder, user):
        port = free_port()
        settings = settings.replace("/etc/pgbouncer", str(folder)).replace("6432", str(port))
        more = f"logfile = {folder / 'pgbouncer.log'}\nunix_socket_dir =\n"
        for name, content in {**files, "pgbouncer.ini": settings + more}.items():
            (folder / name).write_text(content, encoding="utf-8")
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(
                [PGBOUNCER, str(folder / "pgbouncer.ini")], user=user, stdout=output, stderr=output
            )
        try:
            deadline = time.monotonic() + 30
            while not is_listening(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("PgBouncer did not start: " + (folder / "output").read_text(encoding="utf-8"))
                time.sleep(0.02)
            yield port
        finally:
            process.terminate()
            process.wait(timeout=30)


def is_listening(port: int) -> bool:
    """Return whether something accepts connections on the port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False
