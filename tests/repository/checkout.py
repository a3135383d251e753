"""A checkout as small as a build allows: the sources of both distributions, and a page of two files."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = (
    *("chatkit_server", "store", "alembic", "pyproject.toml", "hatch_build.py"),
    *("README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", ".env.example", ".gitignore"),
)


def copy_checkout(folder: Path, *, page: bool = True) -> Path:
    """Copy what a build reads into a new folder, and return the folder."""
    folder.mkdir()
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "page"))
        else:
            shutil.copy(ROOT / name, folder / name)
    if page:
        (folder / "web/dist/assets").mkdir(parents=True)
        (folder / "web/dist/index.html").write_text("<!doctype html>", encoding="utf-8")
        (folder / "web/dist/assets/page.js").write_text("1", encoding="utf-8")
    return folder
