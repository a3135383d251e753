"""Package the built page as `chatkit_server/page`. In a checkout it is in web/dist; an sdist already contains it."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Page(BuildHookInterface[Any]):
    """Runs for wheels and sdists. An editable install serves the page from web/dist."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the page to a standard build. Raises `FileNotFoundError` if there is none."""
        if version != "standard":
            return
        root = Path(self.root)
        places = (root / "chatkit_server" / "page", root / "web" / "dist")
        page = next((place for place in places if (place / "index.html").is_file()), None)
        if page is None:
            raise FileNotFoundError(
                "The page is not built, and a package without it would show nothing at `/`. Run `make web` first "
                "(it needs Node 20.19 or newer), or install a released wheel or sdist, which contain the page."
            )
        build_data["force_include"][str(page)] = "chatkit_server/page"
