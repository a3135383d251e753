"""Create ids: a prefix for the kind and 128 bits that sort by time (UUID version 7, RFC 9562)."""

import hashlib
import os
import threading
import time

_lock = threading.Lock()
_last_tick = 0


def new_id(prefix: str) -> str:
    """Return `{prefix}_` and 32 hex digits; within a process, ids are strictly increasing.

    chatkit's own ids have only 8 random hex digits (T26).
    """
    random = int.from_bytes(os.urandom(10))
    tick = _next_tick(random >> 69)
    tail = 0b10 << 62 | random & 0x3FFF_FFFF_FFFF_FFFF
    return f"{prefix}_{tick >> 12:012x}7{tick & 0xFFF:03x}{tail:016x}"


def derived_id(prefix: str, thread_id: str, item_id: str) -> str:
    """Return the id of an item whose own one is taken by another thread: within its thread always the same."""
    return f"{prefix}_{hashlib.blake2b(f'{thread_id} {item_id}'.encode(), digest_size=16).hexdigest()}"


def _next_tick(counter: int) -> int:
    """Return 48 bits of milliseconds and a 12-bit counter, which starts in its lower half and may overflow."""
    global _last_tick
    with _lock:
        now = (time.time_ns() // 1_000_000) << 12 | counter
        _last_tick = max(now, _last_tick + 1)
        return _last_tick
