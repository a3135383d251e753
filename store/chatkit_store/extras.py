"""Parts of the store that need a package of their own, which only an extra installs."""

from importlib.util import find_spec

from chatkit_store.errors import StoreError


class ExtraMissing(StoreError):
    """A package is not installed. The text names the extra that installs it."""


def require_extra(extra: str, package: str, purpose: str) -> None:
    """Raise `ExtraMissing` unless `package` is installed. `purpose` starts the text, such as "PostgreSQL"."""
    if find_spec(package) is None:
        raise ExtraMissing(
            f"{purpose} needs the package {package}, which is not installed. Add the extra {extra}: "
            f'pip install "chatkit-server[{extra}]", or "chatkit-store[{extra}]" without the server.'
        )
