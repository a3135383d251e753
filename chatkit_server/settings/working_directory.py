"""The directory in which the server runs: the author's modules are imported from it, and its `.env` has variables.

The settings read their own variables themselves (`settings.py`). What is here is for the author's code, and for
commands that look at it.
"""

import importlib
import os
import sys
from pathlib import Path

from dotenv import dotenv_values

ENV_FILE = ".env"
"""The file in the working directory whose lines are settings, and variables for the author's code."""


def see_working_directory() -> str:
    """Make modules of the working directory importable; return it. A console script does not have it on the path.

    The modules also see the variables of its `.env` file.
    """
    directory = os.getcwd()
    if directory not in sys.path:
        sys.path.insert(0, directory)
    importlib.invalidate_caches()
    _share_env_file(Path(directory, ENV_FILE))
    return directory


def file_variables() -> dict[str, str]:
    """Return the variables of the `.env` file that have a value."""
    return {name: value for name, value in dotenv_values(ENV_FILE).items() if value}


def environment() -> dict[str, str]:
    """Return the variables of the process that have a value, without those of the file."""
    return {name: value for name, value in os.environ.items() if value}


def variables() -> dict[str, str]:
    """Return the variables of the process and of the file. Those of the process take precedence."""
    return file_variables() | environment()


def _share_env_file(path: Path) -> None:
    """Put into the environment what it lacks, without our settings: `AsyncOpenAI()` in a module reads OPENAI_API_KEY.

    Settings stay out, because a restarted worker would inherit them, and miss what has changed in the file since.
    """
    for name, value in dotenv_values(path).items():
        if value and not name.upper().startswith("CHATKIT_"):
            os.environ.setdefault(name, value)
