"""`chatkit-server settings`: list all settings."""

import json
from typing import Annotated

import typer

from ..settings import env_example, json_schema


def settings(
    as_schema: Annotated[
        bool, typer.Option("--json-schema", help="Print a JSON schema of the environment variables instead.")
    ] = False,
) -> None:
    """Print all settings with their descriptions and defaults, as a file `.env` can have them."""
    typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False) if as_schema else env_example(), nl=as_schema)
