"""What a start says of a schema that somebody has changed by hand."""

from pathlib import Path

import pytest
from sqlalchemy import text

from chatkit_server.errors.setup import SetupError
from chatkit_server.startup.schema import open_database, prepare_schema
from tests.databases import copy_sqlite
from tests.serving import DATABASE, make_settings

PRODUCTION = {
    "environment": "production",
    "secrets": "s" * 40,
    "public_url": "https://chat.test",
    "allow_anonymous": True,
}


@pytest.mark.parametrize("environment", [{}, PRODUCTION], ids=["development", "production"])
async def test_a_dropped_table_is_named(tmp_path: Path, environment: dict[str, object]) -> None:
    copy_sqlite(tmp_path / DATABASE)
    settings = make_settings(tmp_path, **environment)
    engine = open_database(settings)
    await prepare_schema(engine, settings)
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE feedback"))
    with pytest.raises(SetupError, match="lacks the table.* feedback"):
        await prepare_schema(engine, settings)
    await engine.dispose()
