"""Whether the page is there, and files can be stored."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

from chatkit_store import BlobMissing, Blobs, BlobsUnavailable

from ...files.blob_storage import make_blobs
from ...routes.page import page_directory
from ...settings import Settings
from .finding import Finding
from .folder_findings import obstacle

S3_SECONDS = 20.0
CODE = re.compile(r"<Code>(\w+)</Code>")
STATUS = re.compile(r"status code: (\d{3}[A-Za-z ]*)")
ROLE_ADDRESSES = ("169.254.169.254", "169.254.170.2")
"""Where AWS gives a machine its credentials; the client asks there if it has no others."""
KEYS = "CHATKIT_S3_ACCESS_KEY_ID and CHATKIT_S3_SECRET_ACCESS_KEY"
ADVICE = {
    "NoSuchBucket": "The bucket does not exist: create it, or correct CHATKIT_ATTACHMENTS_URL.",
    "InvalidAccessKeyId": f"Correct {KEYS}.",
    "SignatureDoesNotMatch": f"Correct {KEYS}.",
    "AccessDenied": "Let its key get, put, delete and list objects in the bucket.",
    "AllAccessDisabled": "The account or the bucket is closed: look in its console.",
    "PermanentRedirect": "The bucket is in another region: set CHATKIT_S3_REGION.",
    "AuthorizationHeaderMalformed": "The bucket is in another region: set CHATKIT_S3_REGION.",
    "RequestTimeTooSkewed": "The clock of this machine is wrong.",
}
"""What to do about an error of the service, by its code."""


async def examine_files(settings: Settings) -> AsyncIterator[Finding]:
    """Yield whether there is a page, and whether a file can be written, read and deleted: one that is gone after it."""
    if page_directory(settings.page_dir) is None:
        if settings.page_dir is not None:
            text = f"CHATKIT_PAGE_DIR={settings.page_dir} has no index.html: build the page, or remove the setting"
            yield Finding("page", text, "WRONG")
        elif settings.environment == "production":
            yield Finding("page", "not built: run `make web`. Pages of your own do not need it", "WARN")
    if not settings.secrets and settings.environment == "development":
        if (reason := obstacle(settings.data_dir)) is not None:
            text = f"cannot be written ({reason}). Choose a writable directory, or set CHATKIT_SECRETS"
            yield Finding("secrets", f"CHATKIT_DATA_DIR={settings.data_dir} {text}", "WRONG")
    blobs = make_blobs(settings)
    if blobs.location.startswith("s3://"):
        yield await _examine_bucket(blobs, settings)
    elif (reason := obstacle(Path(blobs.location))) is not None:
        text = f"{blobs.location} cannot be written ({reason}). Let this user write it, or set CHATKIT_ATTACHMENTS_URL"
        yield Finding("files", text, "WRONG")
    elif settings.attachments_url:
        yield Finding("files", blobs.location)


async def _examine_bucket(blobs: Blobs, settings: Settings) -> Finding:
    place = f"{blobs.location} at {_without_secrets(settings.s3_endpoint)}" if settings.s3_endpoint else blobs.location
    key = f"doctor-{secrets.token_hex(8)}"
    step = "written"
    try:
        async with asyncio.timeout(S3_SECONDS):
            await blobs.put(key, b"doctor")
            step = "read"
            await blobs.get(key)
            step = "deleted"
            await blobs.delete(key)
    except TimeoutError:
        return Finding("files", f"{place} did not answer within {S3_SECONDS:g} seconds", "WRONG")
    except (BlobMissing, BlobsUnavailable) as error:
        return Finding("files", f"{place}: a file cannot be {step}: {_reason(str(error.__cause__))}", "WRONG")
    return Finding("files", place)


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _reason(text: str) -> str:
    """Return why S3's client failed and what to do, without the rest of its text, which may contain keys."""
    if any(address in text for address in ROLE_ADDRESSES):
        return f"there are no credentials, and this machine has no role of AWS. Set {KEYS}."
    if (code := CODE.search(text)) is not None:
        return f"{code[1]}. {ADVICE.get(code[1], 'Its provider documents this code.')}"
    if (status := STATUS.search(text)) is not None:
        return f"status {status[1]}. Is CHATKIT_S3_ENDPOINT the address of an S3-compatible service?"
    return "it cannot be reached. Make sure that it runs there, or correct CHATKIT_S3_ENDPOINT."
