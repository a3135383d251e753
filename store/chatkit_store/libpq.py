"""Read a PostgreSQL URL as libpq does. Its environment variables, such as PGPASSWORD, are read by asyncpg.

More lenient than libpq in one thing: `@` and `%` may stand in a password as they are.
"""

import re
from urllib.parse import unquote

from sqlalchemy import URL

PORT = 5432
NAME = re.compile(r"[a-z][a-z0-9_]*")
"""What the name of a parameter looks like; anything else may be a part of a password."""

_OF_URL = ("host", "port", "dbname", "user", "password")
"""Parameters that replace a part of the URL."""
_TEXTS = (*_OF_URL, "options", "application_name", "sslpassword")
"""Parameters whose value may have an @."""


def parse(rest: str) -> URL:
    """Return what follows `postgresql://` as a URL. Raises `ValueError` without naming any part of it.

    One host is the URL's `host`. Several, and the folder of a Unix socket, are in its query as libpq has them:
    `host=a,b` and `port=5432,5433`.
    """
    account, hosts, database, query = _split(rest)
    name, _, password = account.partition(":")
    values = _parameters(query)
    listed, ports = _hosts(values.get("host", ""), values.get("port", ""), hosts)
    url = URL.create(
        "postgresql",
        username=values.get("user") or unquote(name) or None,
        password=values.get("password") or unquote(password) or None,
        database=values.get("dbname") or unquote(database) or None,
        query={name: value for name, value in values.items() if name not in _OF_URL},
    )
    if not listed:
        return url.set(port=ports[0] if ports else None)
    if len(listed) == 1 and not listed[0].startswith("/"):
        return url.set(host=listed[0], port=ports[0])
    ports = [port or PORT for port in ports]
    is_plain = len(listed) == 1 and ports == [PORT]
    return url.update_query_dict({"host": ",".join(listed)} | ({} if is_plain else {"port": ",".join(map(str, ports))}))


def _split(rest: str) -> tuple[str, str, str, str]:
    """Return account, hosts, database and query. The account ends at an `@` before the first slash."""
    slash = rest.find("/")
    head = rest if slash < 0 else rest[:slash]
    begin = head.find("@") + 1
    end = min((head.index(mark, begin) for mark in "?" if mark in head[begin:]), default=len(head))
    begin = head.rfind("@", 0, end) + 1 if begin else 0  # libpq takes the first one, which ends passwords with an @
    tail = rest[end:]
    if not begin and "@" in tail.partition("?")[0]:  # a password with a slash: nothing of it may be taken for a host
        raise ValueError
    path, _, query = tail.partition("?")
    return rest[: max(begin - 1, 0)], head[begin:end], path.removeprefix("/"), query


def _parameters(query: str) -> dict[str, str]:
    """Return the parameters by name; the last one counts. Plus signs are plus signs."""
    values: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        name, separator, value = pair.partition("=")
        name = unquote(name)
        is_part_of_password = not separator or not NAME.fullmatch(name.lower()) or ("@" in value and name not in _TEXTS)
        if is_part_of_password or "\0" in unquote(value):
            raise ValueError
        repeated = f"{values[name]}," if name == "host" and name in values else ""  # as SQLAlchemy has several hosts
        values[name] = repeated + unquote(value)
    return {name: value for name, value in values.items() if value}


def _hosts(host: str, port: str, authority: str) -> tuple[list[str], list[int | None]]:
    """Return the hosts and the port of each; the parameters take precedence over the authority."""
    pairs = [_host_and_port(part) for part in authority.split(",")] if authority else []
    pairs = [(unquote(name), number) for name, number in pairs]
    if host:
        own_ports, pairs = pairs, [_host_and_port(part) for part in host.split(",")]
        if len(own_ports) == 1 and pairs[0][1] is None:
            pairs = [(name, number or own_ports[0][1]) for name, number in pairs]
    hosts = [name for name, _ in pairs]
    if "" in hosts and len(hosts) > 1:
        raise ValueError
    ports = [_number(part) for part in port.split(",")] if port else [number for _, number in pairs]
    if len(ports) < 2:
        ports = (ports or [None]) * max(len(hosts), 1)
    if len(ports) != max(len(hosts), 1):
        raise ValueError
    return [name for name in hosts if name], ports


def _host_and_port(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError
        return host, _number(rest[1:])
    if text.startswith("/") or text.count(":") > 1:  # a folder; an address as only `host=` has it
        return text, None
    host, _, port = text.partition(":")
    return host, _number(port)


def _number(port: str) -> int | None:
    if not port:
        return None
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError
    return int(port)
