"""Ids: a prefix that tells what it is, and 128 bits that sort by time (UUID version 7, RFC 9562)."""

import secrets
import threading
import time

_lock = threading.Lock()
_last_tick = 0


def new_id(prefix: str) -> str:
    """Return `{prefix}_` and 32 hex digits; within a process a later id is always the greater one (T26)."""
    tick = _next_tick()
    tail = 0b10 << 62 | secrets.randbits(62)
    return f"{prefix}_{tick >> 12:012x}7{tick & 0xFFF:03x}{tail:016x}"


def _next_tick() -> int:
    """48 bits of milliseconds and 12 of counter; the counter starts anywhere in its lower half and may run over."""
    global _last_tick
    with _lock:
        fresh = (time.time_ns() // 1_000_000) << 12 | secrets.randbits(11)
        _last_tick = max(fresh, _last_tick + 1)
        return _last_tick
