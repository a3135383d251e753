"""Decode text files in the encodings that people have: a file is text if it decodes in a plausible one."""

import codecs
import re

SAMPLE_BYTES = 64 * 1024
_BOMS = (  # the longer first: UTF-32 begins like UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_BINARY = re.compile(r"[\x00-\x06\x0e-\x1a\x1c-\x1f]")
"""Control characters that no text has; logs have the others, such as backspaces and colours."""
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
_MOSTLY_UTF8 = 20
"""Of so many characters beyond ASCII in a UTF-8 file, one may be damaged."""


def decode_text(data: bytes) -> str | None:
    """Return the text of a file, without a byte order mark; None if it is not text."""
    data = data.removesuffix(b"\x1a")  # the end of a file in DOS
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _text(data, encoding)
    if b"\x00" in data:
        return _wide_text(data)
    text = _text(data, "utf-8")
    if text is not None or data.isascii():
        return text
    return _damaged_utf8(data) or _one_byte_text(data) or _detected_text(data)


def _text(data: bytes, encoding: str) -> str | None:
    try:
        text = data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None
    return None if _BINARY.search(text) else text


def _wide_text(data: bytes) -> str | None:
    """Decode UTF-16 without a mark, whose every second byte is mostly zero in Western text."""
    if len(data) % 2:
        return None
    for encoding, zeros in (("utf-16-le", data[1::2]), ("utf-16-be", data[::2])):
        if 2 * zeros.count(0) > len(zeros):
            return _text(data, encoding)
    return None


def _damaged_utf8(data: bytes) -> str | None:
    """Decode UTF-8 with a few damaged characters, such as a log that several programs write."""
    text = data.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    beyond_ascii = sum(map(len, re.findall(r"[^\x00-\x7f]+", text)))
    return text if damaged * _MOSTLY_UTF8 <= beyond_ascii and not _BINARY.search(text) else None


def _one_byte_text(data: bytes) -> str | None:
    """Decode Windows-1252, as Excel saves a CSV in the West: its letters beyond ASCII mostly stand alone."""
    runs = _HIGH_RUN.findall(data)
    is_western = sum(map(len, runs)) < 1.5 * len(runs)
    return _text(data, "cp1252") if is_western else None


def _detected_text(data: bytes) -> str | None:
    """Decode the most likely encoding of a sample, such as Shift JIS, GB 18030 or Windows-1251."""
    if _BINARY.search(data[:SAMPLE_BYTES].decode("latin-1")):
        return None
    from charset_normalizer import from_bytes  # for few files

    match = from_bytes(data[:SAMPLE_BYTES]).best()
    text = None if match is None else _text(data, match.encoding)
    return text if text is not None else _text(data, "cp1252")
