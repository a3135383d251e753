"""The measurements, by group. Their first lines say what they measure."""

from collections.abc import Mapping

from bench.groups.capacity import capacity
from bench.groups.faults import burst, starts, stop, unread
from bench.groups.full_speed import full_speed
from bench.groups.growth import rows, thread, user
from bench.groups.login import login
from bench.groups.memory import growth, memory
from bench.groups.paced import paced, settings
from bench.groups.profile import profile
from bench.groups.readers import flood, readers
from bench.groups.turns import turns
from bench.groups.workers import workers
from bench.suite import Measure

GROUPS: Mapping[str, Measure] = {
    "paced": paced,
    "full": full_speed,
    "turns": turns,
    "rows": rows,
    "thread": thread,
    "user": user,
    "capacity": capacity,
    "burst": burst,
    "starts": starts,
    "stop": stop,
    "unread": unread,
    "memory": memory,
    "growth": growth,
    "workers": workers,
    "settings": settings,
    "readers": readers,
    "login": login,
    "flood": flood,
    "profile": profile,
}

LONG = frozenset({"settings", "readers", "login", "flood", "profile"})
"""Groups that a quick run leaves out."""
