"""When two actions are the same one that came twice: a double click, a click in two tabs, a frame that posts again."""

import hashlib
import json

from chatkit.types import ThreadCustomActionParams

from ..context import RequestContext

SAME_ACTION_SECONDS = 1.0
"""So soon after the first one began, a second one is a double click, which takes half a second on a desktop, and some
more where the first was slow to get here. Who means to click twice looks at what came of it, and takes longer."""


def action_key(params: ThreadCustomActionParams, context: RequestContext) -> str:
    """A fingerprint of who does what where, whatever the frame and the order of the payload's keys."""
    action = params.action
    told = [context.user_id, params.thread_id, params.item_id, action.type, action.payload]
    return hashlib.sha256(b"action\0" + json.dumps(told, sort_keys=True).encode()).hexdigest()
