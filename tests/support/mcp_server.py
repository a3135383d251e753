"""A real MCP server, as a program: `python -m tests.support.mcp_server stdio`, `streamable_http PORT` or `sse PORT`.

What `weather` answers says which process it was, so that a test can end it.
"""

import os
import sys
import time
from pathlib import Path

from mcp.server.mcpserver import MCPServer

server = MCPServer("weather")


@server.tool()
def weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}. pid={os.getpid()} greeting={os.environ.get('GREETING')} key={os.environ.get('A_KEY')}"


@server.tool(name="weather.tomorrow")
def tomorrow(city: str) -> str:
    """The weather in a city tomorrow."""
    return f"Sun in {city}."


@server.tool()
async def takes_long(until: str) -> str:
    """A tool during which its server does nothing else, until there is a file of that name."""
    while not Path(until).exists():  # noqa: ASYNC240 - that is the point
        time.sleep(0.02)  # noqa: ASYNC251 - as well
    return "done at last"


@server.tool()
def breaks() -> str:
    """A tool that does not work."""
    raise RuntimeError("no thermometer")


@server.tool()
def dies() -> str:
    """A tool that takes its server with it."""
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
