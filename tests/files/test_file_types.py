"""Detected types, safe names, and previews, for arbitrary input."""

import io
import random
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit_server.errors.http import InvalidFile
from chatkit_server.files.file_names import MAX_LENGTH, safe_file_name
from chatkit_server.files.file_types import is_allowed, kind_of, plain_type, sniff
from chatkit_server.files.previews import make_preview
from chatkit_server.files.text_decoding import decode_text
from tests.files.uploading import PDF, picture

OFFICE = "application/vnd.openxmlformats-officedocument."


def archive(*names: str) -> bytes:
    """Return a ZIP archive; a file named `mimetype` has that of an OpenDocument text."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        for name in names:
            written.writestr(name, "application/vnd.oasis.opendocument.text" if name == "mimetype" else "")
    return file.getvalue()


TYPES = [
    (b"BMW builds cars", "text/plain", "text/plain"),
    (b"a,b\n1,2\n", "text/csv", "text/csv"),
    (b'{"a": 1}', "application/json", "application/json"),
    (b"print(1)", "video/mp2t", "text/plain"),
    (b"plain", "text/html", "text/plain"),
    ("\ufeffmarked".encode(), "text/plain", "text/plain"),
    ("wide".encode("utf-16"), "text/plain", "text/plain"),
    (b"<h1>A readme</h1>", "text/markdown", "text/markdown"),
    (b"\n <!-- a --> <!-- b -->\n<!DOCTYPE  html>", "text/plain", "text/html"),
    (b"<?xml version='1.0'?><!-- x --><!DOCTYPE svg><svg>", "text/plain", "image/svg+xml"),
    (b"<?xml version='1.0'?><feed/>", "text/plain", "application/xml"),
    (PDF, "text/plain", "application/pdf"),
    (picture("PNG", (3, 3)), "", "image/png"),
    (picture("JPEG", (3, 3)), "image/png", "image/jpeg"),
    (picture("GIF", (3, 3)), "", "image/gif"),
    (picture("WEBP", (3, 3)), "", "image/webp"),
    (b"caf\xe9", "text/plain", "text/plain"),
    ("Name;Größe\nMüller;5,50 €\n".encode("cp1252"), "application/vnd.ms-excel", "text/plain"),
    ("Name;Größe\nMüller;5,50 €\n".encode("cp1252"), "text/csv", "text/csv"),
    ("wide".encode("utf-16-le"), "", "text/plain"),
    (b"\x1b[31mred\x1b[0m\x08 log\r\n", "", "text/plain"),
    (b"[section]\nkey = value\n\x1a", "application/octet-stream", "text/plain"),
    (b"BM\xdcller", "image/bmp", "text/plain"),
    (b"\r\n\r\n" + PDF, "application/pdf", "application/pdf"),
    (b"\xef\xbb\xbf" + PDF, "text/plain", "application/pdf"),
    (b"HTTP/1.1 200 OK\r\n\r\n%PDF-1.4\n1 0 obj\nendobj\ntrailer\n%%EOF\n", "", "application/pdf"),
    (b"A PDF begins with %PDF-1.4 and ends with %%EOF.", "application/pdf", "text/plain"),
    (b" " * 2000 + PDF, "application/pdf", "text/plain"),
    (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "image/jpeg", "image/heic"),
    (archive("word/document.xml", "[Content_Types].xml"), "application/zip", f"{OFFICE}wordprocessingml.document"),
    (archive("xl/workbook.xml", "[Content_Types].xml"), "text/csv", f"{OFFICE}spreadsheetml.sheet"),
    (archive("mimetype"), "", "application/vnd.oasis.opendocument.text"),
    (archive("word/notes.txt"), "", "application/zip"),
    (b"PK\x03\x04damaged", "", "application/zip"),
    (b"a\x00b", "text/plain", "application/octet-stream"),
]


@pytest.mark.parametrize(("data", "claimed", "detected"), TYPES)
def test_the_type_is_detected_from_the_bytes(data: bytes, claimed: str, detected: str) -> None:
    file = io.BytesIO(data)
    assert sniff(file, claimed) == detected
    assert file.tell() == 0


@given(st.binary(max_size=300), st.text(max_size=30))
def test_any_bytes_have_a_type_and_only_images_have_a_preview(data: bytes, claimed: str) -> None:
    detected = sniff(io.BytesIO(data), plain_type(claimed))
    assert plain_type(detected) == detected
    try:
        make_preview(io.BytesIO(data), 1000)
    except InvalidFile:
        return
    assert kind_of(detected) == "image"


def test_a_long_prolog_is_skipped_in_linear_time() -> None:
    """A regular expression with backtracking would not finish."""
    assert sniff(io.BytesIO(b"<!-- -->" * 100_000), "text/plain") == "text/plain"


SENTENCES = [
    ("Name;Größe\nMüller;5,50 €\n", "cp1252"),
    ("naïve café", "utf-16"),
    ("naïve café", "utf-32"),
    ("naïve", "utf-16-be"),
    ("Zażółć gęślą jaźń", "cp1250"),
    ("Привет, мир! Это тестовый файл с текстом.", "cp1251"),
    ("これはテストのファイルです。よろしくお願いします。", "shift_jis"),
    ("这是一个测试文件，里面有一些中文文本。", "gb18030"),
    ("이것은 테스트 파일입니다. 감사합니다.", "euc-kr"),
]


@pytest.mark.parametrize(("text", "encoding"), SENTENCES)
def test_text_is_decoded_from_a_plausible_encoding(text: str, encoding: str) -> None:
    assert decode_text(text.encode(encoding)) == text


def test_a_damaged_character_does_not_change_the_encoding_of_the_rest() -> None:
    data = "grün ".encode() * 40 + b"\xff" + " grün".encode() * 40
    assert decode_text(data) == "grün " * 40 + "\ufffd" + " grün" * 40


@pytest.mark.parametrize("size", [20, 300, 100_000])
def test_random_bytes_are_not_text(size: int) -> None:
    assert decode_text(random.Random(size).randbytes(size)) is None


@pytest.mark.parametrize("claimed", ["image/jpg", "image/pjpeg", "IMAGE/JPG; q=1"])
def test_other_names_of_a_type_are_understood(claimed: str) -> None:
    assert plain_type(claimed) == "image/jpeg"


def test_a_wildcard_does_not_allow_types_that_can_run_scripts() -> None:
    assert is_allowed("text/x-python", ["text/*"])
    assert not is_allowed("text/html", ["text/*"])
    assert not is_allowed("image/svg+xml", ["image/*"])
    assert is_allowed("text/html", ["text/html"])


@given(st.text())
def test_any_name_becomes_a_safe_file_name(name: str) -> None:
    safe = safe_file_name(name)
    assert 0 < len(safe) <= MAX_LENGTH
    assert not set(safe) & set('/\\<>:"|?*\0\r\n\t')
    assert safe not in {".", ".."}
    assert not safe.startswith(".")
    assert safe.encode("utf-8")
    assert safe_file_name(safe) == safe
