"""What a file is, by its bytes. What its sender calls it counts only between kinds of plain text."""

import re
from collections.abc import Collection
from typing import IO

import filetype  # type: ignore[import-untyped]  # 1.2 ships no types

HEAD_BYTES = 8192
UNKNOWN = "application/octet-stream"
TEXT = "text/plain"
PDF = "application/pdf"
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""What browsers show and models see: bitmaps, in which nothing can run."""
ACTIVE = frozenset({"text/html", "image/svg+xml", "application/xhtml+xml", "application/xml", "text/xml"})
"""Text in which a browser would run scripts: never shown in place, and allowed only by its full name."""

_HTML = re.compile(r"<(!doctype\s+html|html|head|body|script|iframe|style|title|meta)\b", re.I)
_SVG = re.compile(r"<(!doctype\s+)?svg\b", re.I)
_IGNORED = (("<!--", "-->"), ("<?", "?>"))
"""What may stand before a document begins."""
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def sniff(file: IO[bytes], claimed: str) -> str:
    """The file's MIME type; `application/octet-stream` where nothing is known of it. Leaves the file at its start."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    # Text first: prose that begins with "BM" is no bitmap. A PDF may be text all through.
    if not head.startswith(b"%PDF-"):
        text = decode_text(file.read())
        file.seek(0)
        if text is not None:
            return _text_type(text[:HEAD_BYTES], claimed)
    return filetype.guess_mime(head) or UNKNOWN


def decode_text(data: bytes) -> str | None:
    """UTF-8, or UTF-16 with its mark; None for what is no text."""
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if _CONTROLS.search(text) else text


def _text_type(head: str, claimed: str) -> str:
    start = _document(head)
    if _SVG.match(start):
        return "image/svg+xml"
    if _HTML.match(start):
        return "text/html"
    if head.lstrip().startswith("<?xml"):
        return "application/xml"
    is_text = claimed.startswith("text/") or claimed == "application/json"
    return claimed if is_text and claimed not in ACTIVE else TEXT


def _document(head: str) -> str:
    """The text from where its first element or word begins."""
    rest = head.lstrip()
    while any(rest.startswith(opening) for opening, _ in _IGNORED):
        for opening, closing in _IGNORED:
            if rest.startswith(opening):
                rest = rest.partition(closing)[2].lstrip()
    return rest


def plain_type(claimed: str | None) -> str:
    """A MIME type as it was sent, without parameters; `application/octet-stream` for none, or for nonsense."""
    value = (claimed or "").partition(";")[0].strip().lower()
    return value if re.fullmatch(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,80}", value) else UNKNOWN


def kind_of(mime_type: str) -> str:
    """`image`, `pdf`, `text`, or `other`; an SVG is text."""
    if mime_type in IMAGES:
        return "image"
    if mime_type == PDF:
        return "pdf"
    if mime_type.startswith("text/") or mime_type in ACTIVE or mime_type == "application/json":
        return "text"
    return "other"


def contradicts(claimed: str, found: str) -> bool:
    """Whether the sender said that this is something else; what only a name's ending tells of text is no lie."""
    if claimed == UNKNOWN:
        return False
    said = "image" if claimed.startswith("image/") and claimed not in ACTIVE else kind_of(claimed)
    is_named = said in {"image", "pdf"} or kind_of(found) in {"image", "pdf"}
    return is_named and said != kind_of(found)


def is_allowed(mime_type: str, allowed: Collection[str]) -> bool:
    """Whether a list of types, some with `*` for any subtype, has it."""
    family = f"{mime_type.partition('/')[0]}/*"
    return mime_type in allowed or (family in allowed and mime_type not in ACTIVE)
