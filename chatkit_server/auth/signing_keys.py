"""The secrets that sign cookies and URLs. The first signs, all verify, so that they can be rotated."""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from ..errors.setup import SetupError
from ..settings import Settings

SECRET_FILE = "secret"
WORDS = ("secret", "change", "example", "password", "chatkit", "your", "test", "1234567")
"""None of them is likely in what `openssl rand` prints, in hexadecimal."""


def load_signing_keys(settings: Settings) -> Sequence[str]:
    """Return the keys in the order that itsdangerous wants: the one that signs comes last.

    Raises `SetupError` if the key of the data directory can be neither read nor created.
    """
    if settings.secrets:
        return [secret.get_secret_value() for secret in reversed(settings.secrets)]
    try:
        return [_development_key(settings.data_dir / SECRET_FILE)]
    except OSError as error:
        raise SetupError(
            f"CHATKIT_DATA_DIR={settings.data_dir} cannot be used: {error.strerror}. Choose a writable directory, "
            "or set CHATKIT_SECRETS."
        ) from error


def is_guessable(secret: str) -> bool:
    """Return whether a secret looks written by a person, or copied from an example: repeated, or with words in it."""
    is_repeated = secret in (secret + secret)[1:-1] or len(set(secret)) < 8
    return is_repeated or any(word in secret.lower() for word in WORDS)


def _development_key(path: Path) -> str:
    """Create the key once and keep it: after a restart with a new one, no browser could see its threads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(path, "x", encoding="utf-8", opener=_private) as file:
            file.write(secrets.token_hex(32))
    except FileExistsError:
        pass
    value = path.read_text(encoding="utf-8").strip()
    if len(value) < 32:
        raise SetupError(f"{path} does not contain a usable secret; delete it, or set CHATKIT_SECRETS.")
    return value


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
