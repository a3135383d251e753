"""Two apps of one process that have different databases must not share the place of their files.

Each deletes what no row of its own database names, so it would delete the files of the other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors.setup import SetupError
from ..settings import Settings

_databases: dict[str, list[tuple[str, str | None]]] = {}
"""The databases of running apps by the place of their files."""


@contextmanager
def own_files(settings: Settings) -> Iterator[None]:
    """Take the place of the app's files in the block. Raises `SetupError` if an app with another database has it."""
    place = settings.attachments_url or str(settings.data_dir / "files")
    if "://" not in place:
        place = str(Path(place).resolve())
    database = (settings.database_url, settings.database_schema)
    databases = _databases.setdefault(place, [])
    if any(other != database for other in databases):
        raise SetupError(
            f"Another chat of this process, with another database, has its files in {place}, and each deletes files "
            "that its database does not know. Give each a CHATKIT_DATA_DIR or CHATKIT_ATTACHMENTS_URL of its own: "
            "Settings(database_url=..., data_dir=...)."
        )
    databases.append(database)
    try:
        yield
    finally:
        databases.remove(database)
