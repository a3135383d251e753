"""Detect the MIME type of a file from its bytes. The claimed type only decides between kinds of plain text."""

import re
import zipfile
import zlib
from collections.abc import Collection
from typing import IO

import filetype  # type: ignore[import-untyped]  # 1.2 ships no types

from .text_decoding import decode_text

HEAD_BYTES = 8192
UNKNOWN = "application/octet-stream"
TEXT = "text/plain"
PDF = "application/pdf"
ZIP = "application/zip"
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""Bitmaps: browsers display them, models read them, and they cannot contain scripts."""
ACTIVE = frozenset({"text/html", "image/svg+xml", "application/xhtml+xml", "application/xml", "text/xml"})
"""Text in which a browser would run scripts: never displayed inline, and allowed only by its exact type."""

_HTML = re.compile(r"<(!doctype\s+html|html|head|body|script|iframe|style|title|meta)\b", re.I)
_SVG = re.compile(r"<(!doctype\s+)?svg\b", re.I)
_PROLOG = (("<!--", "-->"), ("<?", "?>"))
"""Comments and declarations that may precede the root element."""
_PDF_WITHIN = 1024
"""Readers accept so many bytes before `%PDF-`, such as line ends or the head of an HTTP response."""
_PDF = re.compile(rb"%PDF-\d")
_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "application/x-pdf": PDF,
}
_OFFICE = "application/vnd.openxmlformats-officedocument."
_ARCHIVES = {
    "word/": f"{_OFFICE}wordprocessingml.document",
    "xl/": f"{_OFFICE}spreadsheetml.sheet",
    "ppt/": f"{_OFFICE}presentationml.presentation",
}
"""Office documents are archives with these folders."""
DOCUMENTS = {
    _ARCHIVES["word/"]: "Word documents",
    _ARCHIVES["xl/"]: "Excel workbooks",
    _ARCHIVES["ppt/"]: "PowerPoint presentations",
    "application/vnd.oasis.opendocument.text": "OpenDocument texts",
    "application/vnd.oasis.opendocument.spreadsheet": "OpenDocument spreadsheets",
    "image/heic": "HEIC pictures",
}
"""What people call types that they may save as another one."""


def sniff(file: IO[bytes], claimed: str) -> str:
    """Return the file's MIME type, or `application/octet-stream` if it is unknown. Rewinds the file."""
    file.seek(0)
    data = file.read()
    file.seek(0)
    if _is_pdf(data):
        return PDF
    # Text first: prose that begins with "BM" is not a bitmap.
    text = decode_text(data)
    if text is not None:
        return _text_type(text[:HEAD_BYTES], claimed)
    if data.startswith(b"PK\x03\x04"):
        return _archive_type(file)
    return filetype.guess_mime(data[:HEAD_BYTES]) or UNKNOWN


def _is_pdf(data: bytes) -> bool:
    """Return whether it is a PDF, which may be valid text throughout; a text that mentions one is not."""
    match = _PDF.search(data, 0, _PDF_WITHIN + 8)
    if match is None:
        return False
    before = data[: match.start()].removeprefix(b"\xef\xbb\xbf").strip(b"\x00 \t\r\n\x0c")
    return not before or (b"endobj" in data and b"%%EOF" in data[-2048:])


def _archive_type(file: IO[bytes]) -> str:
    """Return the type of a ZIP archive, which may be a document. Rewinds the file."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if "mimetype" in names and archive.getinfo("mimetype").file_size < 100:
                return plain_type(archive.read("mimetype").decode("ascii", "replace"))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError, EOFError, zlib.error):
        return ZIP
    finally:
        file.seek(0)
    folders = (folder for folder in _ARCHIVES if any(name.startswith(folder) for name in names))
    return next((_ARCHIVES[folder] for folder in folders if "[Content_Types].xml" in names), ZIP)


def _text_type(head: str, claimed: str) -> str:
    root = _skip_prolog(head)
    if _SVG.match(root):
        return "image/svg+xml"
    if _HTML.match(root):
        return "text/html"
    if head.lstrip().startswith("<?xml"):
        return "application/xml"
    is_text = claimed.startswith("text/") or claimed == "application/json"
    return claimed if is_text and claimed not in ACTIVE else TEXT


def _skip_prolog(head: str) -> str:
    """Return the text from its first element or word on."""
    text = head.lstrip()
    while any(text.startswith(opening) for opening, _ in _PROLOG):
        for opening, closing in _PROLOG:
            if text.startswith(opening):
                text = text.partition(closing)[2].lstrip()
    return text


def plain_type(claimed: str | None) -> str:
    """Return a claimed MIME type without parameters, or `application/octet-stream` if it is missing or malformed."""
    value = (claimed or "").partition(";")[0].strip().lower()
    value = _ALIASES.get(value, value)
    return value if re.fullmatch(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,80}", value) else UNKNOWN


def kind_of(mime_type: str) -> str:
    """Return `image`, `pdf`, `text` or `other`; SVG is text."""
    if mime_type in IMAGES:
        return "image"
    if mime_type == PDF:
        return "pdf"
    if mime_type.startswith("text/") or mime_type in ACTIVE or mime_type == "application/json":
        return "text"
    return "other"


def is_allowed(mime_type: str, allowed: Collection[str]) -> bool:
    """Return whether the type is in a list, in which `image/*` allows each subtype without scripts."""
    family = f"{mime_type.partition('/')[0]}/*"
    return mime_type in allowed or (family in allowed and mime_type not in ACTIVE)
