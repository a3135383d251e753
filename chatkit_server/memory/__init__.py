"""What the model knows of a thread: what its user sees, and what the model itself did in the turns before (T21).

A turn gathers a `Transcript` and keeps it in `turns.transcript`; `Memory` makes the next turn's input of the thread's
items and of the transcripts of the turns that still count.
"""

from .memory import Memory
from .transcript import CALLS, Transcript, turn_transcript

__all__ = ["CALLS", "Memory", "Transcript", "turn_transcript"]
