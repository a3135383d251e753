"""Read database URLs as people have them, with libpq's parameters, and say what is wrong with one.

Providers hand out URLs for libpq, and Prisma and others add parameters of their own. asyncpg accepts few of them.
"""

import logging
import re
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from chatkit_store import libpq

logger = logging.getLogger(__name__)

CALL_SECONDS = 75.0  # per store call, including each wait; PostgreSQL ends a statement after 60
DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SESSIONS = ("any", "primary", "standby", "read-write", "read-only", "prefer-standby")
SCHEMA = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
SYSTEM = "system"  # libpq's name of the certificates that the system trusts

_READ_BY_ASYNCPG = {
    *("sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "passfile", "service", "krbsrvname", "gsslib"),
}
_OF_SQLALCHEMY = {"host", "port", "prepared_statement_cache_size"}
_WITHOUT_EFFECT = {
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"),
    *("fallback_application_name", "client_encoding", "sslcompression", "sslsni", "load_balance_hosts"),
    *("connection_limit", "pool_timeout", "pool_size", "socket_timeout", "uselibpqcompat", "supa", "workaround"),
}
"""Parameters that change neither where a connection goes nor how it is protected."""
_WEAK = {
    "channel_binding": {"disable", "prefer", "require"},
    "gssencmode": {"disable", "prefer"},
    "sslcertmode": {"disable", "allow"},
    "sslaccept": {"strict", "accept_invalid_certs"},
    "pgbouncer": {"true", "false"},
}
"""Parameters that are honoured, or may be left out, if they have one of these values."""
_TLS_FLAGS = {"true": "require", "1": "require", "no-verify": "require", "false": "disable", "0": "disable"}
_bindings_reported: set[str] = set()


class InvalidUrl(ValueError):
    """The database's URL cannot be used. The text says what to change, and contains no password."""


def normalise_url(url: str | URL) -> URL:
    """Return the URL with the asynchronous driver of this store. Raises `InvalidUrl`."""
    try:
        parsed = _parsed(url.strip()) if isinstance(url, str) else url
    except (ArgumentError, ValueError):
        raise InvalidUrl(
            "must be the URL of a SQLite or PostgreSQL database, such as sqlite:///chatkit.db or "
            "postgresql://user:password@host/database. In a user name or password, write each of @ : / ? # % [ ] as "
            "its code, such as %40 for @."
        ) from None
    driver = DRIVERS.get(parsed.drivername.partition("+")[0].lower())
    if driver is None:
        raise InvalidUrl(
            "must be the URL of a SQLite or PostgreSQL database, such as sqlite:///chatkit.db or "
            f"postgresql://user:password@host/database; {parsed.drivername} is not supported"
        )
    if driver.startswith("sqlite") and parsed.host:
        raise InvalidUrl(
            f"has two slashes before the file's name. Write sqlite:///{parsed.host} for a file in the working "
            f"directory, or four slashes before an absolute path."
        )
    return parsed.set(drivername=driver)


def _parsed(url: str) -> URL:
    scheme, separator, rest = url.partition("://")
    is_postgresql = separator and DRIVERS.get(scheme.partition("+")[0].lower()) == DRIVERS["postgresql"]
    return libpq.parse(rest) if is_postgresql else make_url(url)


def postgres_arguments(url: URL) -> tuple[URL, dict[str, Any]]:
    """Return the URL without the parameters that SQLAlchemy does not know, and asyncpg's arguments in their place.

    `pgbouncer` and `schema` are for `sessions`. Raises `InvalidUrl` for a parameter that cannot be honoured.
    """
    values = {name: value if isinstance(value, str) else value[-1] for name, value in url.query.items()}
    _check(values)
    arguments: dict[str, Any] = {}
    if (mode := _tls_mode(values)) is not None:
        arguments["ssl"] = _system_trust(mode, values) or mode
    if dsn := {name: value for name, value in values.items() if name in _READ_BY_ASYNCPG and value != SYSTEM}:
        arguments["dsn"] = f"postgresql://?{urlencode(dsn)}"
    if settings := _server_settings(values):
        arguments["server_settings"] = settings
    for name, argument in (("connect_timeout", "timeout"), ("timeout", "timeout"), ("command_timeout",) * 2):
        if seconds := _number(name, values.get(name, "0")):
            arguments[argument] = seconds
    if "target_session_attrs" in values:
        arguments["target_session_attrs"] = values["target_session_attrs"]
    if "statement_cache_size" in values:
        arguments["statement_cache_size"] = int(_number("statement_cache_size", values["statement_cache_size"]))
    return url.set(query={name: url.query[name] for name in url.query if name in _OF_SQLALCHEMY}), arguments


def is_pooled(url: URL) -> bool | None:
    """Return whether the URL says that PgBouncer, or another pooler, is in front of the database."""
    return {"true": True, "false": False}.get(str(url.query.get("pgbouncer")))


def checked_schema(url: URL, schema: str | None) -> str | None:
    """Return the schema of the tables: the given one, else the URL's, else None. Raises `InvalidUrl`."""
    name = schema or url.query.get("schema")
    if name is None:
        return None
    if not is_schema_name(str(name)):
        raise InvalidUrl(
            "has a schema that cannot be used: it needs letters, digits and underscores, and does not begin with pg_."
        )
    return str(name)


def is_schema_name(name: str) -> bool:
    """Return whether a schema of the tables may have this name."""
    return SCHEMA.fullmatch(name) is not None and not name.lower().startswith(("pg_", "information_schema"))


def _check(values: dict[str, str]) -> None:
    supported = {"ssl", "sslmode", "application_name", "options", "schema", "connect_timeout", "timeout"}
    supported |= {"command_timeout", "target_session_attrs", "statement_cache_size"}
    supported |= _READ_BY_ASYNCPG | _OF_SQLALCHEMY | _WITHOUT_EFFECT
    for name, value in values.items():
        if value not in _WEAK.get(name, {value} if name in supported else ()):
            offer = f"; of its values, only {', '.join(sorted(_WEAK[name]))} can be used" if name in _WEAK else ""
            raise InvalidUrl(f"has the parameter {name[:40]}, which this server cannot honour{offer}. Remove it.")
    _check_choice("sslmode", values, MODES)
    _check_choice("target_session_attrs", values, SESSIONS)
    for name in FILES:
        file = values.get(name, SYSTEM)
        if file != SYSTEM and not _is_readable(file):
            raise InvalidUrl(f"names the file {file} as {name}, which does not exist or cannot be read. Correct it.")
    _check_certificates(values)


def _check_certificates(values: dict[str, str]) -> None:
    """Raise `InvalidUrl` if a file is not what it should be, which the driver would say only as "PEM lib"."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name in ("sslrootcert", "sslcert"):
        file = values.get(name, SYSTEM)
        try:
            if file == SYSTEM:
                continue
            if name == "sslrootcert":
                context.load_verify_locations(file)
            else:
                context.load_cert_chain(file, values.get("sslkey"), lambda: values.get("sslpassword", ""))
        except (ssl.SSLError, ValueError):
            key = " with the sslkey beside it" if name == "sslcert" else ""
            raise InvalidUrl(f"names {file} as {name}, which is not a PEM certificate{key}. Correct it.") from None


def _is_readable(file: str) -> bool:
    try:
        with Path(file).open("rb"):
            return True
    except OSError:
        return False


def _check_choice(name: str, values: dict[str, str], choices: tuple[str, ...]) -> None:
    if values.get(name, choices[0]) not in choices:
        raise InvalidUrl(f"has an unknown {name}. Use one of {', '.join(choices)}.")


def _number(name: str, value: str) -> float:
    try:
        return max(float(value), 0.0)
    except ValueError:
        raise InvalidUrl(f"has a {name} that is not a number. Correct it, or remove it.") from None


def _tls_mode(values: dict[str, str]) -> str | None:
    flag = values.get("ssl")
    mode = values.get("sslmode") or (flag and _TLS_FLAGS.get(flag, flag))
    if mode not in (None, *MODES):
        raise InvalidUrl(f"has an unknown value of ssl. Use sslmode with one of {', '.join(MODES)}.")
    is_weak = mode in (None, "allow", "prefer")
    if values.get("sslrootcert") == SYSTEM or values.get("sslaccept") == "strict":
        mode = "verify-full"
    elif values.get("channel_binding") == "require" and mode != "verify-full":
        mode = "require" if is_weak else mode
        _report_binding(mode or "require")
    return mode


def _report_binding(mode: str) -> None:
    """Log once that the driver does not bind passwords to the TLS connection."""
    if mode not in _bindings_reported:
        _bindings_reported.add(mode)
        logger.warning(
            "channel_binding=require cannot be honoured: the driver asyncpg does not support it. The connection uses "
            "sslmode=%s; add sslmode=verify-full to check the certificate of the database",
            mode,
        )


def _system_trust(mode: str, values: dict[str, str]) -> ssl.SSLContext | None:
    """Return a context that trusts the system's certificates, if the server's is verified and no file names another."""
    own = values.get("sslrootcert")
    is_verified = mode in ("verify-ca", "verify-full")
    if not is_verified or own not in (None, SYSTEM) or (own is None and _default_roots().exists()):
        return None
    context = ssl.create_default_context()
    context.check_hostname = mode == "verify-full"
    if "sslcert" in values:
        context.load_cert_chain(values["sslcert"], values.get("sslkey"), lambda: values.get("sslpassword", ""))
    return context


def _default_roots() -> Path:
    return Path("~/.postgresql/root.crt").expanduser()


def _server_settings(values: dict[str, str]) -> dict[str, str]:
    return {name: values[name] for name in ("application_name", "options") if name in values}


def sqlite_seconds(url: URL) -> float:
    """Return how long a call on a SQLite database may wait. Raises `InvalidUrl` if the URL gives no number."""
    try:
        return float(str(url.query.get("timeout", CALL_SECONDS)))
    except ValueError:
        raise InvalidUrl("has a timeout that is not a number. Correct it, or remove it.") from None


def check_url(url: str) -> None:
    """Raise `InvalidUrl` if the database's URL cannot be used. Does not connect."""
    parsed = normalise_url(url)
    if parsed.get_backend_name() == "sqlite":
        sqlite_seconds(parsed)
    else:
        checked_schema(parsed, None)
        postgres_arguments(parsed)
