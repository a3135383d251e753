"""Detect the MIME type of a file from its bytes. The claimed type only decides between kinds of plain text."""

import re
from collections.abc import Collection
from typing import IO

import filetype  # type: ignore[import-untyped]  # 1.2 ships no types

HEAD_BYTES = 8192
UNKNOWN = "application/octet-stream"
TEXT = "text/plain"
PDF = "application/pdf"
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""Bitmaps: browsers display them, models read them, and they cannot contain scripts."""
ACTIVE = frozenset({"text/html", "image/svg+xml", "application/xhtml+xml", "application/xml", "text/xml"})
"""Text in which a browser would run scripts: never displayed inline, and allowed only by its exact type."""

_HTML = re.compile(r"<(!doctype\s+html|html|head|body|script|iframe|style|title|meta)\b", re.I)
_SVG = re.compile(r"<(!doctype\s+)?svg\b", re.I)
_PROLOG = (("<!--", "-->"), ("<?", "?>"))
"""Comments and declarations that may precede the root element."""
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def sniff(file: IO[bytes], claimed: str) -> str:
    """Return the file's MIME type, or `application/octet-stream` if it is unknown. Rewinds the file."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    # Text first: prose that begins with "BM" is not a bitmap. A PDF may be valid text throughout.
    if not head.startswith(b"%PDF-"):
        text = decode_text(file.read())
        file.seek(0)
        if text is not None:
            return _text_type(text[:HEAD_BYTES], claimed)
    return filetype.guess_mime(head) or UNKNOWN


def decode_text(data: bytes) -> str | None:
    """Decode UTF-8, or UTF-16 with a byte order mark; None if it is not text."""
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if _CONTROLS.search(text) else text


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


def contradicts(claimed: str, detected: str) -> bool:
    """Return whether the claimed type is wrong. Kinds of text are not compared: they are guesses from the extension."""
    if claimed == UNKNOWN:
        return False
    claimed_kind = "image" if claimed.startswith("image/") and claimed not in ACTIVE else kind_of(claimed)
    is_comparable = claimed_kind in {"image", "pdf"} or kind_of(detected) in {"image", "pdf"}
    return is_comparable and claimed_kind != kind_of(detected)


def is_allowed(mime_type: str, allowed: Collection[str]) -> bool:
    """Return whether the type is in a list, in which `image/*` allows each subtype without scripts."""
    family = f"{mime_type.partition('/')[0]}/*"
    return mime_type in allowed or (family in allowed and mime_type not in ACTIVE)
