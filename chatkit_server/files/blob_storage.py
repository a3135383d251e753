"""Where the bytes of files lie, as the settings say."""

from pydantic import SecretStr

from chatkit_store import Blobs, S3Access

from ..settings import Settings


def make_blobs(settings: Settings) -> Blobs:
    """Nothing is opened or made before the first file."""
    access = S3Access(
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key_id=_plain(settings.s3_access_key_id),
        secret_access_key=_plain(settings.s3_secret_access_key),
    )
    return Blobs(settings.attachments_url or str(settings.data_dir / "files"), access)


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
