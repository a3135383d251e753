"""The tool `current_time`, which tells a model the time in a zone."""

from datetime import UTC, datetime
from difflib import get_close_matches
from zoneinfo import ZoneInfo, available_timezones

from agents import function_tool

from ..conversion.tool_display import shown_as

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
"""In English; strftime would follow the locale."""


class UnknownZone(Exception):
    """There is no such time zone; the text suggests similar names."""


@shown_as("Looking at the clock of {time_zone}", icon="clock")
@function_tool
def current_time(time_zone: str) -> str:
    """The current date, weekday, time and UTC offset in one time zone.

    Args:
        time_zone: IANA name of the time zone, such as "Europe/Berlin", "America/New_York" or "UTC". Choose it by the
            place that the user means; "UTC" where no place is known.
    """
    try:
        return describe_time(datetime.now(UTC), time_zone)
    except UnknownZone as error:
        return f"Error: {error}"


def describe_time(now: datetime, zone: str) -> str:
    """Return `now` (aware) in `zone`, as "Monday 2026-11-23 14:05:09 in Europe/Berlin (UTC+01:00)".

    Raises `UnknownZone`.
    """
    try:
        local = now.astimezone(ZoneInfo(zone))
    except (KeyError, ValueError, OSError):  # unknown, not a valid name ("../x"), a directory of zones ("Europe")
        raise UnknownZone(f"there is no time zone {zone!r}.{_suggestion(zone)}") from None
    offset = local.strftime("%z")
    return f"{DAYS[local.weekday()]} {local:%Y-%m-%d %H:%M:%S} in {zone} (UTC{offset[:3]}:{offset[3:5]})"


def _suggestion(zone: str) -> str:
    zones = {name.rpartition("/")[2].lower(): name for name in sorted(available_timezones())}
    city = zone.strip().rpartition("/")[2].replace(" ", "_").lower()
    similar = [zones[match] for match in get_close_matches(city, zones, n=3)]
    return f" Similar names: {', '.join(similar)}." if similar else " Use an IANA name such as Europe/Berlin."
