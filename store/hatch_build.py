"""Package the migrations as `chatkit_store/_alembic`. In a checkout they are in a folder beside this one."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Migrations(BuildHookInterface[Any]):
    """Runs for wheels and sdists built from a checkout. An sdist already contains the folder."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folder to a standard build. An editable install reads it in place."""
        migrations = Path(self.root).parent / "alembic"
        if version == "standard" and migrations.is_dir() and not (Path(self.root) / "PKG-INFO").exists():
            build_data["force_include"][str(migrations)] = "chatkit_store/_alembic"
