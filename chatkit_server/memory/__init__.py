"""The history that the model gets: what the user sees of a thread, plus what the model did in earlier turns.

The chatkit SDK converts only visible items, so tool calls, their outputs and reasoning would be lost (T21). Here, a
turn records them in a `Transcript`, which is saved in `turns.transcript`. `Memory` builds the next turn's input from
the thread's items and these transcripts.

Read `memory.Memory.model_input` first. It goes through the thread from the newest exchange back (`thread_reading`):
- `exchange` groups a user's message with the turns that followed it, and skips turns that a retry replaced;
- `replay` merges the items of a turn with its transcript;
- `converter` turns the items into model input;
- `memory_cache` keeps the exchanges for the next turn, which reads only what is new;
- `token_estimate` tells when the budget is used up;
- `call_pairs` gives every tool call its output and a unique id;
- `notes` lets the roles alternate, which many endpoints require.
"""

from .memory import Memory
from .transcript import CALLS, Transcript, turn_transcript

__all__ = ["CALLS", "Memory", "Transcript", "turn_transcript"]
