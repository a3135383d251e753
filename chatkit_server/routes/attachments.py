"""Direct and two-phase uploads, and downloads by signed URL."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from tempfile import SpooledTemporaryFile
from typing import IO, Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from ..context import RequestContext
from ..errors.http import BadRequest, InvalidFile, NotAvailable
from ..events.frames import serialize
from ..files.attachment_store import FileAttachmentStore, StoredFile, too_large
from ..files.file_types import ACTIVE, IMAGES, UNKNOWN
from ..files.signed_links import Purpose
from ..files.upload_limits import check_uploads, size_limit
from ..services import Services, services_of
from .body import declared_size
from .error_responses import ERRORS
from .limits import check_text
from .linked import LinkedResponse

router = APIRouter(prefix="/api/attachments", tags=["attachments"], responses=ERRORS)

MEMORY_BYTES = 1024 * 1024
"""How much of an upload is held in memory; the rest goes to an unnamed file that is deleted after the request."""
FORM_BYTES = 16 * 1024
"""What a form may contain besides its file, in bytes."""

Token = Annotated[str, Query(description="the signature, from the URL that the server returned")]


FORM: dict[str, Any] = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "format": "binary"}},
}
BODY_FORM: dict[str, Any] = {"requestBody": {"content": {"multipart/form-data": {"schema": FORM}}}}
BODY_BYTES: dict[str, Any] = {"requestBody": {"content": {"application/octet-stream": {}}}}


@router.post("", summary="Upload a file: multipart, field `file`", response_class=Response, openapi_extra=BODY_FORM)
async def upload(request: Request) -> Response:
    """Return the attachment; its `id` goes into the next message."""
    services, attachments = _attachments_of(request)
    context = await services.door.authenticate(request)
    check_uploads(context)
    limit = size_limit(services.settings, context)
    try:
        async with _form_file(request, limit) as file:
            if (file.size or 0) > limit:
                raise too_large(limit)
            name, mime_type = file.filename or "", file.content_type or ""
            check_text("name", name)
            check_text("mime_type", mime_type)
            attachment = await attachments.receive(name, mime_type, file.file, context)
    except ClientDisconnect:
        return Response(status_code=499)
    response = LinkedResponse(_json(serialize(attachment)), services.links, context, request)
    services.door.remember(request, response, context)
    return response


@router.put(
    "/{attachment_id}/content",
    summary="Second phase of an upload: the file's bytes",
    response_class=Response,
    openapi_extra=BODY_BYTES,
)
@router.post(
    "/{attachment_id}/content",
    summary="The same as a form with the field `file`",
    response_class=Response,
    openapi_extra=BODY_FORM,
)
async def complete(attachment_id: str, request: Request, token: Token = "") -> Response:
    """Store the bytes of an attachment made by `attachments.create`. The URL's signature authenticates the request."""
    services, attachments = _attachments_of(request)
    context = _signer(services, "upload", attachment_id, token, request)
    limit = services.settings.attachment_max_bytes
    await attachments.check_pending(attachment_id, context)
    try:
        if request.method == "POST" and _is_form(request):
            async with _form_file(request, limit) as file:
                attachment = await attachments.complete(attachment_id, file.file, context)
        else:
            async with _raw_file(request, limit) as raw:
                attachment = await attachments.complete(attachment_id, raw, context)
    except ClientDisconnect:
        return Response(status_code=499)
    return LinkedResponse(_json(serialize(attachment)), services.links, context, request)


@router.get("/{attachment_id}/content", summary="Download a file by its signed URL", response_class=Response)
async def download(attachment_id: str, request: Request, token: Token = "") -> Response:
    """Return the bytes. Bitmaps are shown inline; everything else is a download, so that no file runs as a page."""
    services, attachments = _attachments_of(request)
    context = _signer(services, "download", attachment_id, token, request)
    return _file_response(await attachments.open(attachment_id, context))


def _attachments_of(request: Request) -> tuple[Services, FileAttachmentStore]:
    services = services_of(request)
    if services.attachments is None:
        raise NotAvailable("This server does not accept attachments.")
    return services, services.attachments


def _signer(services: Services, purpose: Purpose, attachment_id: str, token: str, request: Request) -> RequestContext:
    owner = services.links.verify(purpose, attachment_id, token)
    return RequestContext(**owner._asdict(), request_id=request.state.request_id)


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


@asynccontextmanager
async def _form_file(request: Request, limit: int) -> AsyncIterator[UploadFile]:
    """Yield the field `file` of a form, and delete it afterwards."""
    if not _is_form(request):
        raise BadRequest("A file is uploaded as multipart/form-data, in the field `file`.")
    parser = MultiPartParser(request.headers, _limited(request, limit + FORM_BYTES, limit), max_files=1, max_fields=8)
    try:
        form = await parser.parse()
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise InvalidFile("The form has no file in its field `file`.")
        yield file
    except MultiPartException as error:
        raise BadRequest(f"The form cannot be read: {error.message}") from error
    finally:
        for part in parser._files_to_close_on_error:  # in the form there are only those that have arrived completely
            part.close()


@asynccontextmanager
async def _raw_file(request: Request, limit: int) -> AsyncIterator[IO[bytes]]:
    """Yield the request body as a file, and delete it afterwards."""
    with SpooledTemporaryFile(max_size=MEMORY_BYTES) as spooled:
        file = UploadFile(spooled)  # type: ignore[arg-type]  # Starlette passes such a file, too
        async for chunk in _limited(request, limit, limit):
            await file.write(chunk)
        yield spooled


async def _limited(request: Request, limit: int, file_limit: int) -> AsyncGenerator[bytes, None]:
    """Yield the chunks of the body. Raises `FileTooLarge` (naming `file_limit`) once they exceed `limit` bytes."""
    if declared_size(request) > limit:
        raise too_large(file_limit)
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large(file_limit)
        yield chunk


def _file_response(file: StoredFile) -> Response:
    disposition = "inline" if file.mime_type in IMAGES else "attachment"
    headers = {
        "content-type": UNKNOWN if file.mime_type in ACTIVE else file.mime_type,
        "content-disposition": f"{disposition}; filename*=utf-8''{quote(file.name, safe='')}",
        "content-security-policy": "default-src 'none'; sandbox",
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "cross-origin",  # the widget's frame has another origin, and loads these
        "referrer-policy": "no-referrer",
        "cache-control": "private, max-age=3600",
        "content-length": str(file.content.size),
    }
    return StreamingResponse(file.content.chunks, headers=headers)
