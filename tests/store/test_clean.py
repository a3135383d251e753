"""Text that cannot be encoded or stored is replaced, in the same way everywhere."""

import json
from typing import Any

import pytest

from chatkit_store import clean_body, clean_json, clean_text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain", "plain"),
        ("Grüße 🦊", "Grüße 🦊"),
        ("smile \ud83d", "smile \ufffd"),
        ("\udd8a\ud83e", "\ufffd\ufffd"),
        ("\ud83e\udd8a", "🦊"),
        ("a\0b", "a\ufffdb"),
        ("é\0", "é\ufffd"),
        ("", ""),
    ],
)
def test_clean_text(text: str, clean: str) -> None:
    assert clean_text(text) == clean
    assert clean_json({text: [text, {"a": (text,)}, 1, None]}) == {clean: [clean, {"a": [clean]}, 1, None]}
    data = json.loads(clean_body(json.dumps({"text": text, "n": 1}).encode()))
    assert data == {"text": clean, "n": 1}


@pytest.mark.parametrize("value", [1, 2.5, None, True, "x", [], {}])
def test_everything_else_stays(value: Any) -> None:
    assert clean_json(value) == value


@pytest.mark.parametrize(
    "body", [b'{"a": "\\ud83d', b"", b"\xff\\ud83d", b"[" * 5000 + b'"\\ud83d"', b'{"a":  "\\u00e9"}']
)
def test_a_body_without_such_text_or_that_is_not_json_stays(body: bytes) -> None:
    assert clean_body(body) == body
