"""What the events of an Agents SDK run mean for a ChatKit thread.

Different from chatkit 1.6.5, on purpose (the numbers are traps): every output item gets an id of the store's, because
Chat Completions models call everything `__fake_id__` (T5, T6); thoughts are found by position (T33); `reasoning_text`
counts as thinking and empty workflows vanish (T34); citations stay when the text is done (T35); refusals stream and
are answers, no errors (T36); the client tool call takes the call id of the tool that asked for it (T31, T32).
"""

from .assistant_messages import text_delta_event
from .conversion import Conversion

__all__ = ["Conversion", "text_delta_event"]
