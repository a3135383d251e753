"""Whether this user can write files in a folder."""

import tempfile
from pathlib import Path


def obstacle(folder: Path) -> str | None:
    """Return why no file can be written in a folder, which may not exist yet; or None. Leaves nothing behind."""
    folder = folder.absolute()
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest) as file:
            file.write(b"doctor")
            file.flush()
    except OSError as error:
        return f"{nearest}: {error.strerror}"
    return None
