"""The time in a zone, in words for a model."""

from datetime import datetime
from difflib import get_close_matches
from zoneinfo import ZoneInfo, available_timezones


class UnknownZone(Exception):
    """No such time zone; the text names near ones."""


def describe_time(now: datetime, zone: str) -> str:
    """`now` (aware) in `zone`, as "Monday 2026-11-23 14:05:09 in Europe/Berlin (UTC+01:00)". Raises `UnknownZone`."""
    try:
        local = now.astimezone(ZoneInfo(zone))
    except (KeyError, ValueError, OSError):  # unknown, not a name at all ("../x"), a folder of zones ("Europe")
        raise UnknownZone(f"there is no time zone {zone!r}.{_advice(zone)}") from None
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")  # strftime follows the locale
    offset = local.strftime("%z")
    return f"{days[local.weekday()]} {local:%Y-%m-%d %H:%M:%S} in {zone} (UTC{offset[:3]}:{offset[3:5]})"


def _advice(zone: str) -> str:
    cities = {name.rpartition("/")[2].lower(): name for name in sorted(available_timezones())}
    wanted = zone.strip().rpartition("/")[2].replace(" ", "_").lower()
    near = [cities[city] for city in get_close_matches(wanted, cities, n=3)]
    return f" Near names: {', '.join(near)}." if near else " Use an IANA name such as Europe/Berlin."
