"""The table of endpoints and abilities in docs/models.md."""

import asyncio
import re
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from tests.conformance.abilities import ABILITIES, quiet, try_endpoint
from tests.conformance.endpoints import ENDPOINTS
from tests.conformance.server import EndpointServer

DOCUMENT = Path(__file__).parents[2] / "docs" / "models.md"
BEGIN, END = "<!-- conformance -->\n", "<!-- end of conformance -->"

Results = Mapping[str, Mapping[str, str]]
"""For each endpoint, what came of each ability."""


async def try_all(folder: Path) -> Results:
    """Try all endpoints."""
    async with EndpointServer() as server, quiet():
        return {endpoint.name: await try_endpoint(server, endpoint, folder) for endpoint in ENDPOINTS}


def table(results: Results) -> str:
    """Return the results as a table in Markdown."""
    names = [ability.name for ability in ABILITIES]
    lines = [f"| | {' | '.join(names)} |", f"|{'---|' * (len(names) + 1)}"]
    for endpoint, cells in results.items():
        lines.append(f"| {endpoint} | {' | '.join(cells[name].partition(':')[0] for name in names)} |")
    return "\n".join(lines)


def documented() -> str:
    """Return the part of the document between the marks."""
    return DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0]


def without_date(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d", "", text).strip()


def section(results: Results) -> str:
    """Return what the document has between the marks."""
    date = datetime.now(UTC).date().isoformat()
    return f"Tried on {date}, with three turns each:\n\n{table(results)}\n"


def main() -> None:
    """Try all endpoints and write the table into the document."""
    with tempfile.TemporaryDirectory() as folder:
        results = asyncio.run(try_all(Path(folder)))
    text = DOCUMENT.read_text()
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    DOCUMENT.write_text(f"{before}{BEGIN}\n{section(results)}\n{END}{after}")
    sys.stdout.write(f"{table(results)}\n")
    for endpoint, cells in results.items():
        for ability, result in cells.items():
            if result.startswith("no"):
                sys.stdout.write(f"{endpoint}, {ability}: {result}\n")
