"""Which servers are reported as open to strangers."""

from pathlib import Path
from typing import Any

import pytest

from chatkit_server.startup.exposure import exposure_warnings
from tests.serving import make_settings

PRODUCTION = {"environment": "production"}
OPEN, ANY_NAME = "ANYONE WHO REACHES THIS SERVER", "answers under any name"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, []),
        ({"host": "localhost"}, []),
        ({"host": "::1"}, []),
        ({"host": "0.0.0.0"}, [OPEN]),
        ({"host": "::"}, [OPEN]),
        ({"host": "chat.intra.example"}, [OPEN]),
        (PRODUCTION, [OPEN, ANY_NAME]),
        (PRODUCTION | {"allowed_hosts": "*"}, [OPEN, ANY_NAME]),
        (PRODUCTION | {"public_url": "https://chat.example"}, [OPEN]),
        (PRODUCTION | {"allowed_hosts": "chat.example"}, [OPEN]),
    ],
)
def test_a_server_that_strangers_reach_is_reported(tmp_path: Path, settings: dict[str, Any], words: list[str]) -> None:
    warnings = exposure_warnings(make_settings(tmp_path, **settings))
    assert len(warnings) == len(words)
    for expected, warning in zip(words, warnings, strict=True):
        assert expected in warning
