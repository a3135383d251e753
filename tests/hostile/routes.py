"""What a stranger may try with each route: requests with ids of others, and the routes that are open to anyone."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.hostile.house import Headers, Ids
from tests.support.chatkit import Json

JSON: Headers = {"content-type": "application/json"}
FORM: Headers = {"content-type": "multipart/form-data; boundary=b"}
FILE = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\nmine\r\n--b--\r\n'
ENTITY = {"id": "a", "title": "A", "icon": "bolt", "interactive": True, "group": "g", "data": {"a": "b"}}


@dataclass(frozen=True)
class Attempt:
    """A request to a route."""

    path: str
    body: bytes = b""
    headers: Headers = field(default_factory=dict)
    query: bytes = b""
    frames: Sequence[str] = ()
    """For a WebSocket."""


OPEN: Mapping[str, str] = {
    "GET /": "the page is for anyone: what it shows comes from the other routes",
    "HEAD /": "as GET",
    "MOUNT /": "the files of the page and of the element, the same for everyone",
    "MOUNT /api/docs-files": "the files of Swagger UI",
    "GET /api/docs": "describes the API; calls nothing without a login",
    "GET /api/openapi.json": "the same as JSON",
    "HEAD /api/openapi.json": "as GET",
    "GET /healthz": "a probe: says that the process is up",
    "HEAD /healthz": "as GET",
    "GET /readyz": "a probe: says whether the database answers",
    "HEAD /readyz": "as GET",
    "GET /api/stream/health": "a probe: figures of all turns together, nothing of one user",
    "HEAD /api/stream/health": "as GET",
    "GET /api/stream/ws": "says that the address is for WebSockets",
    "GET /api/stream/probe": "a stream without content: whether a proxy buffers it",
}
"""Routes that need no login, and why."""

NOT_IMPLEMENTED = frozenset({
    "GET /metrics",
    "GET /doctor",
})  # fmt: skip
"""Routes that answer 501 to anyone."""

SESSION = json.dumps({"user": "alice", "tenant": "acme", "workflow": {"id": "wf_1"}}).encode()
BY_KEY: Mapping[str, Attempt] = {
    "POST /v1/chatkit/sessions": Attempt("/v1/chatkit/sessions", SESSION, JSON),
    "POST /v1/chatkit/sessions/{session_id}/cancel": Attempt("/v1/chatkit/sessions/cksess_1/cancel"),
    "GET /v1/chatkit/threads": Attempt("/v1/chatkit/threads", query=b"user=alice"),
    "GET /v1/chatkit/threads/{thread_id}": Attempt("/v1/chatkit/threads/thr_1"),
    "DELETE /v1/chatkit/threads/{thread_id}": Attempt("/v1/chatkit/threads/thr_1"),
    "GET /v1/chatkit/threads/{thread_id}/items": Attempt("/v1/chatkit/threads/thr_1/items"),
}
"""Routes for the customer's backend: an API key is the only login; those with one are in tests/routes/."""

BY_SECRET: Mapping[str, Attempt] = {"POST /api/chatkit/refresh": Attempt("/api/chatkit/refresh")}
"""Routes where a client secret in the body or the header is the only login; those with one are in tests/routes/."""

SIGNED = frozenset({
    "GET /api/attachments/{attachment_id}/content",
    "PUT /api/attachments/{attachment_id}/content",
    "POST /api/attachments/{attachment_id}/content",
})  # fmt: skip
"""Routes where the signature in the URL is the login: an image or an upload cannot send headers."""

NAMES_NOTHING: Mapping[str, Attempt] = {
    "GET /api/chatkit/options": Attempt("/api/chatkit/options"),
    "GET /api/entities": Attempt("/api/entities", query=b"q=a"),
    "POST /api/chatkit/session": Attempt("/api/chatkit/session"),
    "POST /api/entities/preview": Attempt("/api/entities/preview", json.dumps(ENTITY).encode(), JSON),
    "POST /api/attachments": Attempt("/api/attachments", FILE, FORM),
}
"""Requests that name nothing of anyone: a stranger may send them, nobody else may."""


def attempts_with(ids: Ids, own: Ids) -> Mapping[str, Sequence[Attempt]]:
    """Return requests by route: with `ids` of others, and with those beside `own` ones."""
    messages: list[Json] = [
        {"message": "mine", "thread_id": ids.thread},
        {"message": "mine", "thread_id": ids.running_thread},
        {"message": "mine", "attachments": [ids.attachment]},
        {"message": "mine", "thread_id": own.thread, "attachments": [ids.attachment]},
        {"message": "mine", "thread_id": ids.thread, "attachments": [own.attachment]},
    ]
    bodies = [json.dumps(message).encode() for message in messages]
    turns = (ids.turn, ids.running_turn)
    return {
        "POST /api/message": [Attempt("/api/message", body, JSON) for body in bodies],
        "POST /api/stream/message": [Attempt("/api/stream/message", body, JSON) for body in bodies],
        "WEBSOCKET /api/stream/ws": [
            Attempt("/api/stream/ws", frames=[json.dumps({"type": "message"} | message), '{"type": "stop"}'])
            for message in messages
        ]
        + [
            Attempt(
                "/api/stream/ws",
                frames=[
                    json.dumps(
                        {"type": "answers", "turn_id": ids.turn}
                        | {"answers": [{"id": ids.approval, "decision": "approved"}]}
                    )
                ],
            )
        ],
        "GET /api/turns/{turn_id}": [
            *(Attempt(f"/api/turns/{turn}") for turn in turns),
            Attempt(f"/api/turns/{ids.turn}", headers={"if-none-match": "*"}),
        ],
        "GET /api/turns/{turn_id}/events": [
            *(Attempt(f"/api/turns/{turn}/events") for turn in turns),
            Attempt(f"/api/turns/{ids.running_turn}/events", query=b"after=1"),
            Attempt(f"/api/turns/{ids.running_turn}/events", headers={"last-event-id": "999"}),
        ],
        "POST /api/turns/{turn_id}/stop": [Attempt(f"/api/turns/{turn}/stop") for turn in turns],
        "POST /api/turns/{turn_id}/retry": [
            *(Attempt(f"/api/turns/{turn}/retry") for turn in turns),
            Attempt(f"/api/turns/{ids.turn}/retry", headers={"idempotency-key": "k"}),
        ],
        "POST /api/turns/{turn_id}/answers": [
            Attempt(f"/api/turns/{turn}/answers", json.dumps({"answers": [{"id": id, **answer}]}).encode(), JSON)
            for turn in (*turns, own.turn)
            for id, answer in ((ids.approval, {"decision": "approved"}), (ids.question, {"skipped": True}))
        ],
        "POST /api/threads/{thread_id}/stop": [
            Attempt(f"/api/threads/{thread}/stop") for thread in (ids.thread, ids.running_thread)
        ],
        "GET /api/attachments/{attachment_id}/content": _signed(ids.attachment, ids, own),
        "PUT /api/attachments/{attachment_id}/content": _signed(ids.pending, ids, own),
        "POST /api/attachments/{attachment_id}/content": _signed(ids.pending, ids, own),
    }


def _signed(attachment_id: str, ids: Ids, own: Ids) -> list[Attempt]:
    """Return requests with every signature but the right one; a signature for the right file comes from another key."""
    forged = Ids.missing(ids)
    tokens = ["", "x", own.download, own.upload, forged.download, forged.upload, own.upload + "=", "a.b.c", "\0"]
    return [
        Attempt(f"/api/attachments/{attachment_id}/content", b"mine", query=f"token={token}".encode())
        for token in tokens
    ]
