"""`chatkit-server new`: write a small project with an agent of one's own."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from ..errors.setup import SetupError
from ..version import __version__
from .command_errors import clear_errors

FILES = Path(__file__).parent / "new_project"
NAMES = {"env": ".env", "gitignore": ".gitignore", "dockerignore": ".dockerignore"}
"""Files whose names would make them vanish from a checkout or a package."""
SETTINGS_OF_PAGE = "page.env"

NEXT = """\
{folder} has an agent of its own. Next:

{enter}  chatkit-server serve      # then open http://127.0.0.1:8000; with uv: uv run chatkit-server serve
  pip install pytest        # once, then `pytest` tests the agent without a key; with uv: uv run pytest

Without a model, a script answers; .env says how to set one. README.md says what each file is for."""


def new(
    folder: Annotated[Path, typer.Argument(help="The project's folder, which must be new or empty.")],
    page: Annotated[bool, typer.Option("--page", help="Write a page of your own as well, served at /.")] = False,
) -> None:
    """Write a small project: an agent with a tool and a form, settings, a test, Dockerfile and compose.yaml."""
    with clear_errors():
        write_project(folder, page=page)
    enter = "" if folder.resolve() == Path.cwd() else f"  cd {shlex.quote(str(folder))}\n"
    typer.echo(NEXT.format(folder=folder, enter=enter))


def write_project(folder: Path, *, page: bool = False) -> None:
    """Write the project's files. Raises `SetupError` if the folder is not new or empty, or cannot be written."""
    words = {"{{name}}": _project_name(folder), "{{version}}": ".".join(__version__.split(".")[:2])}
    texts = {
        NAMES.get(path.as_posix(), path.as_posix()): text
        for path, text in _templates()
        if page or path.parts[0] != "page"
    }
    settings_of_page = texts.pop(SETTINGS_OF_PAGE)
    if page:
        texts[".env"] += settings_of_page
    try:
        if folder.exists() and any(folder.iterdir()):
            raise SetupError(f"{folder} exists and is not empty. Choose another name, or empty it first.")
        for name, text in texts.items():
            for mark, word in words.items():
                text = text.replace(mark, word)
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
    except NotADirectoryError:
        raise SetupError(f"{folder} is not a folder. Choose another name.") from None
    except OSError as error:
        raise SetupError(f"{folder} cannot be written: {error.strerror}.") from error


def _templates() -> Iterator[tuple[Path, str]]:
    """Yield the path of each file of the project, and its text with marks for what depends on the project."""
    for file in sorted(FILES.rglob("*")):
        if file.is_file() and file.suffix != ".pyc":  # pip compiles what it installs
            yield file.relative_to(FILES), file.read_text(encoding="utf-8")


def _project_name(folder: Path) -> str:
    """Return the folder's name as a package may be called."""
    return re.sub(r"[^A-Za-z0-9]+", "-", folder.resolve().name).strip("-").lower() or "my-chat"
