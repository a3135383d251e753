"""Client secrets and API keys: random texts that their holders send, and of which only a hash is stored."""

import hashlib
import secrets


def random_secret(prefix: str) -> str:
    """Return a secret of 256 random bits."""
    return prefix + secrets.token_urlsafe(32)


def stored_hash(secret: str) -> str:
    """Return the hash under which a secret is stored. A random secret needs no slow hash, and no salt."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
