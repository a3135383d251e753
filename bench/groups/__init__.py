"""The measurements, by group."""

from collections.abc import Mapping

from bench.groups.full_speed import full_speed
from bench.groups.login import login
from bench.groups.paced import paced, settings
from bench.groups.turns import turns
from bench.suite import Measure

GROUPS: Mapping[str, Measure] = {
    "paced": paced,
    "full": full_speed,
    "turns": turns,
    "settings": settings,
    "login": login,
}
