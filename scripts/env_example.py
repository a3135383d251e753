"""Print `.env.example`: every setting with its description and default. `make env-example` writes the file."""

import json
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

from chatkit_server.settings import Settings, variables_of

HEAD = """\
# Settings of chatkit-server. Copy this file to `.env` and uncomment what you want to change.
# Environment variables take precedence. `make env-example` regenerates this file from chatkit_server/settings/.
"""


def format_default(default: Any) -> str:
    """Return the default as written in the file, or an empty string."""
    if default is None:
        return ""
    if isinstance(default, bool):
        return json.dumps(default)
    if isinstance(default, list):
        return ",".join(default)
    return f"{default:g}" if isinstance(default, float) else str(default)


def example() -> Iterator[str]:
    """Yield the parts of the file."""
    yield HEAD
    for name, field in Settings.model_fields.items():
        sentence = textwrap.fill(field.description or "", 118, initial_indent="# ", subsequent_indent="# ")
        yield f"\n{sentence}\n#{variables_of(name)[0]}={format_default(field.default)}\n"


if __name__ == "__main__":
    sys.stdout.write("".join(example()))
