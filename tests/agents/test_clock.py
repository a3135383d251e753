"""The time in a zone, in words."""

from datetime import UTC, datetime

import pytest

from chatkit_server.agents.clock import UnknownZone, describe_time

NOON = datetime(2026, 7, 1, 12, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("UTC", "Wednesday 2026-07-01 12:00:05 in UTC (UTC+00:00)"),
        ("Europe/Berlin", "Wednesday 2026-07-01 14:00:05 in Europe/Berlin (UTC+02:00)"),
        ("America/St_Johns", "Wednesday 2026-07-01 09:30:05 in America/St_Johns (UTC-02:30)"),
        ("Pacific/Kiritimati", "Thursday 2026-07-02 02:00:05 in Pacific/Kiritimati (UTC+14:00)"),
    ],
)
def test_the_text_has_the_weekday_and_the_offset(zone: str, text: str) -> None:
    assert describe_time(NOON, zone) == text


@pytest.mark.parametrize(
    ("zone", "suggestion"),
    [
        ("Paris", "Similar names: Europe/Paris"),
        ("New York", "Similar names: America/New_York"),
        ("Europe/Berlni", "Similar names: Europe/Berlin"),
        ("Europe", "there is no time zone 'Europe'"),
        ("../../etc/passwd", "Use an IANA name such as Europe/Berlin"),
        ("", "Use an IANA name"),
    ],
)
def test_an_unknown_zone_gets_similar_names(zone: str, suggestion: str) -> None:
    with pytest.raises(UnknownZone) as caught:
        describe_time(NOON, zone)
    assert suggestion in str(caught.value)
