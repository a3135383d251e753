"""URLs as providers hand them out: understood, or refused in a sentence without the password."""

import ctypes
import itertools
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from chatkit_store import InvalidUrl, SqlStore, StoreUnavailable, create_schema, open_engine
from chatkit_store.urls import check_url, normalise_url, postgres_arguments
from tests.databases import Postgres
from tests.store.factories import ALICE, User, make_thread, user_message
from tests.store.tls import TlsFront, tls_front

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("url", "password", "host"),
    [
        ("postgres://u:p%40ss%2Fw@h/d", "p@ss/w", "h"),
        ("postgresql://u:p@ss@h:5433/d?sslmode=require", "p@ss", "h"),
        ("postgresql://u:100%@h/d", "100%", "h"),
        ("POSTGRES://u:p:q@h/d", "p:q", "h"),
        ("postgresql://u:p?#[]:@h/d?sslmode=require", "p?#[]:", "h"),
        ("postgresql://u:p@h/d?password=a+b%20c", "a+b c", "h"),
        ("postgresql+psycopg2://u:p@[::1]:5433/d", "p", "::1"),
        (" postgresql://u:p@h/d\n", "p", "h"),
    ],
)
def test_account_and_host_are_read(url: str, password: str, host: str) -> None:
    parsed = normalise_url(url)
    assert (parsed.username, parsed.password, parsed.host, parsed.database) == ("u", password, host, "d")


@pytest.mark.parametrize(
    ("query", "arguments"),
    [
        ("", {}),
        ("sslmode=require&channel_binding=require", {"ssl": "require"}),
        ("sslmode=prefer&channel_binding=prefer", {"ssl": "prefer"}),
        ("channel_binding=require", {"ssl": "require"}),
        ("sslmode=disable", {"ssl": "disable"}),
        ("ssl=true", {"ssl": "require"}),
        ("connect_timeout=10&keepalives=1&gssencmode=disable", {"timeout": 10.0}),
        ("connect_timeout=0", {}),
        ("options=-c%20a%3Db", {"server_settings": {"options": "-c a=b"}}),
        ("application_name=chat", {"server_settings": {"application_name": "chat"}}),
        ("schema=chat&connection_limit=1&pgbouncer=true", {}),
        ("target_session_attrs=read-write", {"target_session_attrs": "read-write"}),
        ("passfile=/p&sslnegotiation=direct", {"dsn": "postgresql://?passfile=%2Fp&sslnegotiation=direct"}),
    ],
)
def test_parameters_become_arguments_of_the_driver(query: str, arguments: dict[str, object]) -> None:
    url, translated = postgres_arguments(normalise_url(f"postgres://u:p@h/d?{query}"))
    assert translated == arguments
    assert not url.query


def test_several_hosts_stay_in_order() -> None:
    url, arguments = postgres_arguments(normalise_url("postgres://u:p@a,b:5433/d?target_session_attrs=primary"))
    assert (url.query["host"], url.query["port"]) == ("a,b", "5432,5433")
    assert arguments == {"target_session_attrs": "primary"}
    assert open_engine("postgres://u:p@[::1],[2001:db8::1]:5433/d").dialect.driver == "asyncpg"


class _Option(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char_p) for name in ("keyword", "variable", "compiled", "value", "label", "kind")] + [
        ("size", ctypes.c_int)
    ]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://",
        "postgres:///d",
        "postgres://u@/d?host=/var/run/postgresql",
        "postgresql://%2Fvar%2Frun%2Fpostgresql/d",
        "postgresql://%2Fvar%2Frun:5433/d",
        "postgresql://u:p@[::1]:5433/d",
        "postgresql://u:p@a:1,[2001:db8::1]:2/d?target_session_attrs=primary",
        "postgresql://u:p?#[]:x@h/d",
        "postgresql://u:p%40%2F%25@h?sslmode=require&channel_binding=require",
        "postgresql://h/my%20db",
        "postgresql:///d?user=x&password=a+b%20c@&host=h&port=5",
        "postgresql://u:p@/d?host=a,b&port=5433,5434",
        "postgresql://u:p@x:5434/d?host=/tmp",
        "postgresql://u:p@h:/d?options=endpoint%3Dep-x",
        "postgresql://u:p@h/d?options=-c%20search_path%3Da,b&application_name=a%26b",
        "postgresql://u:p@h/d?host=::1",
    ],
)
def test_urls_are_read_as_by_libpq(postgres: Postgres, url: str) -> None:
    parse = ctypes.CDLL(str(postgres.programs.parent / "lib" / "libpq.so.5")).PQconninfoParse
    parse.restype = ctypes.POINTER(_Option)
    options = parse(url.encode(), None)
    expected = {}
    for option in itertools.takewhile(lambda option: option.keyword, (options[number] for number in range(100))):
        if option.value is not None:
            expected[option.keyword.decode()] = option.value.decode()
    parsed = normalise_url(url)
    parts = {"user": parsed.username, "password": parsed.password, "host": parsed.host, "port": parsed.port}
    parts["dbname"] = parsed.database
    assert {name: str(value) for name, value in parts.items() if value} | dict(parsed.query) == expected


@pytest.mark.parametrize("query", ["sslmode=verify-full", "sslrootcert=system", "sslmode=require&sslaccept=strict"])
def test_certificates_of_the_system_are_trusted_unless_a_file_names_others(query: str) -> None:
    _, arguments = postgres_arguments(normalise_url(f"postgres://u:p@h/d?{query}"))
    context = arguments["ssl"]
    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        (f"postgres://u:{SECRET}@h/d?sslmode=on", "unknown sslmode"),
        (f"postgres://u:{SECRET}@h/d?ssl=on", "unknown value of ssl"),
        (f"postgres://u:{SECRET}@h/d?require_auth=scram-sha-256", "parameter require_auth"),
        (f"postgres://u:{SECRET}@h/d?gssencmode=require", "only disable, prefer can be used"),
        (f"postgres://u:{SECRET}@h/d?anything=1", "parameter anything"),
        (f"postgres://u:{SECRET}@h/d?target_session_attrs=master", "unknown target_session_attrs"),
        (f"postgres://u:{SECRET}@h/d?connect_timeout=soon", "not a number"),
        (f"postgres://u:{SECRET}@h/d?sslmode=verify-full&sslrootcert=/no/ca.pem", "/no/ca.pem"),
        (f"postgres://u:a/{SECRET}@h/d", "%40 for @"),
        (f"postgres://u:a@b?{SECRET}=1@h/d", "%40 for @"),
        (f"postgres://u:{SECRET}@h/d?sslmode", "%40 for @"),
        (f"postgres://u:{SECRET}@a,b/d?port=1,2,3", "%40 for @"),
        (f"postgres://u:{SECRET}@h/d?schema=pg_toast", "schema that cannot be used"),
        (f"postgres://u:1/{SECRET}@h/d", "%40 for @"),
        (f"postgres://u:{SECRET}@h:port/d", "%40 for @"),
        (f"mysql://u:{SECRET}@h/d", "mysql is not supported"),
        (f"psql 'postgres://u:{SECRET}@h/d'", "must be the URL"),
        ("sqlite://chat.db", "sqlite:///chat.db"),
        ("sqlite:///chat.db?timeout=long", "not a number"),
        ("", "must be the URL"),
    ],
)
def test_url_that_cannot_be_honoured_is_refused_without_its_password(url: str, advice: str) -> None:
    with pytest.raises(InvalidUrl) as raised:
        check_url(url)
    assert advice in str(raised.value)
    assert SECRET not in str(raised.value)
    assert "\n" not in str(raised.value)
    with pytest.raises(InvalidUrl):
        open_engine(url)


@pytest.mark.parametrize(
    ("query", "is_encrypted"),
    [
        ("sslmode=require&channel_binding=require&connect_timeout=10&application_name=chat&pgbouncer=true", True),
        ("sslmode=verify-full&sslrootcert={certificate}&application_name=chat&options=-c%20work_mem%3D8MB", True),
        ("application_name=chat", True),
        ("sslmode=disable&application_name=chat", False),
    ],
)
async def test_a_managed_database_is_used(postgres: Postgres, tmp_path: Path, query: str, is_encrypted: bool) -> None:
    async with tls_front(postgres.folder / ".s.PGSQL.5432", tmp_path) as front:
        with postgres.fresh_database() as url:
            engine = open_engine(managed(url, front, query))
            await create_schema(engine)
            store, thread = SqlStore[User](engine), make_thread()
            await store.save_thread(thread, ALICE)
            await store.add_thread_items(thread.id, [user_message(), user_message()], ALICE)
            assert len((await store.load_thread_items(thread.id, None, 9, "asc", ALICE)).data) == 2
            async with engine.connect() as connection:
                assert (await connection.execute(text("SHOW application_name"))).scalar_one() == "chat"
            await engine.dispose()
    assert set(front.encrypted) == {is_encrypted}


@pytest.mark.parametrize(("query", "has_tls"), [("sslmode=require", False), ("sslmode=verify-full", True)])
async def test_a_database_without_the_wanted_protection_is_not_used(
    postgres: Postgres, tmp_path: Path, query: str, has_tls: bool
) -> None:
    async with tls_front(postgres.folder / ".s.PGSQL.5432", tmp_path, has_tls=has_tls) as front:
        engine = open_engine(managed(postgres.url("postgres"), front, query))
        with pytest.raises(StoreUnavailable):
            await SqlStore[User](engine).load_thread("thr_1", ALICE)
        await engine.dispose()


def managed(url: str, front: TlsFront, query: str) -> str:
    """Return the URL of the database as its provider writes it."""
    query = query.format(certificate=front.certificate)
    return f"postgres://postgres:p%40ss@127.0.0.1:{front.port}{urlsplit(url).path}?{query}"
