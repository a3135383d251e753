"""What a chat session allows of files, besides the settings."""

from ..context import RequestContext
from ..errors.http import NotAvailable
from ..settings import Settings

NO_UPLOADS = "Files cannot be sent in this chat."


def check_uploads(context: RequestContext) -> None:
    """Raise `NotAvailable` if the session of the request takes no files."""
    if context.session is not None and not context.session.has_uploads:
        raise NotAvailable(NO_UPLOADS)


def size_limit(settings: Settings, context: RequestContext) -> int:
    """Return how many bytes a file may have."""
    limit = settings.attachment_max_bytes
    return limit if context.session is None else min(limit, context.session.max_file_bytes)


def count_limit(settings: Settings, context: RequestContext) -> int:
    """Return how many files a message may have."""
    limit = settings.attachments_per_message
    return limit if context.session is None else min(limit, context.session.max_files)
