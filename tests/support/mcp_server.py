"""A real MCP server: run `python -m tests.support.mcp_server stdio`, `streamable_http PORT` or `sse PORT`.

The output of `weather` contains the process id, so that a test can kill the process.
"""

import os
import sys
import time
from pathlib import Path

from mcp.server.mcpserver import MCPServer

server = MCPServer("weather")


@server.tool()
def weather(city: str) -> str:
    """Return the weather in a city."""
    return f"Rain in {city}. pid={os.getpid()} greeting={os.environ.get('GREETING')} key={os.environ.get('A_KEY')}"


@server.tool(name="weather.tomorrow")
def tomorrow(city: str) -> str:
    """Return the weather in a city tomorrow."""
    return f"Sun in {city}."


@server.tool()
async def takes_long(until: str) -> str:
    """Block the whole server until the file `until` exists."""
    while not Path(until).exists():  # noqa: ASYNC240 - blocking is the point
        time.sleep(0.02)  # noqa: ASYNC251 - blocking is the point
    return "done at last"


@server.tool()
def breaks() -> str:
    """Fail."""
    raise RuntimeError("no thermometer")


@server.tool()
def dies() -> str:
    """Exit the server process."""
    os._exit(1)


def main() -> None:
    match sys.argv[1:]:
        case ["stdio"]:
            server.run("stdio")
        case ["streamable_http", port]:
            server.run("streamable-http", host="127.0.0.1", port=int(port))
        case ["sse", port]:
            server.run("sse", host="127.0.0.1", port=int(port))


if __name__ == "__main__":
    main()
