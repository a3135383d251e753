"""Detected types, safe names, and previews, for arbitrary input."""

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


@pytest.mark.parametrize(
    ("claimed", "detected", "is_wrong"),
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
def test_a_claimed_type_of_another_kind_is_wrong(claimed: str, detected: str, is_wrong: bool) -> None:
    assert contradicts(claimed, detected) is is_wrong


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
