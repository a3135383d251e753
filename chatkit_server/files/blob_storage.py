"""Choose where the bytes of files are stored."""

from pydantic import SecretStr

from chatkit_store import Blobs, S3Access

from ..settings import Settings


def make_blobs(settings: Settings) -> Blobs:
    """Return the blob storage that the settings name: a directory or an S3 bucket.

    Nothing is created or connected before the first file.
    """
    access = S3Access(
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key_id=_reveal(settings.s3_access_key_id),
        secret_access_key=_reveal(settings.s3_secret_access_key),
    )
    return Blobs(settings.attachments_url or str(settings.data_dir / "files"), access)


def _reveal(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
