"""Convert the events of an Agents SDK run to ChatKit thread events.

Deliberate differences from chatkit 1.6.5 (see docs/traps.md):

- Every output item gets an id from the store: Chat Completions models call every item `__fake_id__` (T5, T6).
- Thoughts are found by position, not by content (T33).
- `reasoning_text` is shown as thinking, and empty workflows are removed (T34).
- Citations are kept when the text is done (T35).
- Refusals are streamed, and are answers rather than errors (T36).
- A client tool call takes the call id of the tool that made it (T31, T32).
"""

from .assistant_messages import text_delta_event
from .conversion import Conversion

__all__ = ["Conversion", "text_delta_event"]
