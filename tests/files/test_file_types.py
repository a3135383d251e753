"""What a file is by its bytes, and the names that files may have; anything may come."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit_server.errors.http import InvalidFile
from chatkit_server.files.file_names import MAX_LENGTH, safe_file_name
from chatkit_server.files.file_types import contradicts, is_allowed, kind_of, plain_type, sniff
from chatkit_server.files.previews import make_preview
from tests.files.uploading import PDF, picture

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
    (b"caf\xe9", "text/plain", "application/octet-stream"),
    (b"a\x00b", "text/plain", "application/octet-stream"),
]


@pytest.mark.parametrize(("data", "claimed", "found"), TYPES)
def test_the_bytes_say_what_a_file_is(data: bytes, claimed: str, found: str) -> None:
    file = io.BytesIO(data)
    assert sniff(file, claimed) == found
    assert file.tell() == 0


@given(st.binary(max_size=300), st.text(max_size=30))
def test_any_bytes_have_a_type_and_no_text_is_a_picture(data: bytes, claimed: str) -> None:
    found = sniff(io.BytesIO(data), plain_type(claimed))
    assert plain_type(found) == found
    try:
        make_preview(io.BytesIO(data), 1000)
    except InvalidFile:
        return
    assert kind_of(found) == "image"


def test_a_text_made_to_be_hard_to_read_is_read() -> None:
    """Patterns that try each way to split it would never end."""
    assert sniff(io.BytesIO(b"<!-- -->" * 100_000), "text/plain") == "text/plain"


@pytest.mark.parametrize(
    ("claimed", "found", "is_wrong"),
    [
        ("image/png", "image/jpeg", False),
        ("image/heic", "text/plain", True),
        ("application/octet-stream", "image/png", False),
        ("text/plain", "image/png", True),
        ("application/vnd.ms-excel", "text/plain", False),
        ("application/pdf", "text/plain", True),
        ("image/svg+xml", "image/svg+xml", False),
    ],
)
def test_a_claim_is_wrong_where_it_is_about_another_kind(claimed: str, found: str, is_wrong: bool) -> None:
    assert contradicts(claimed, found) is is_wrong


def test_a_star_allows_no_type_in_which_scripts_run() -> None:
    assert is_allowed("text/x-python", ["text/*"])
    assert not is_allowed("text/html", ["text/*"])
    assert not is_allowed("image/svg+xml", ["image/*"])
    assert is_allowed("text/html", ["text/html"])


@given(st.text())
def test_any_name_becomes_one_that_is_safe_everywhere(name: str) -> None:
    safe = safe_file_name(name)
    assert 0 < len(safe) <= MAX_LENGTH
    assert not set(safe) & set('/\\<>:"|?*\0\r\n\t')
    assert safe not in {".", ".."}
    assert not safe.startswith(".")
    assert safe.encode("utf-8")
    assert safe_file_name(safe) == safe
