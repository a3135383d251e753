"""Find out what a provider's error means, from its code, its words and its status.

Providers share no codes, and use the same status for different things: 429 is a rate limit, a spent budget or a message
that is too long. So the code decides, then the words, then the status.
"""

import re
from collections.abc import Iterator
from typing import Any

CODES: dict[str, str] = {
    "invalid_api_key": "model_auth",
    "insufficient_quota": "model_quota",
    "billing_hard_limit_reached": "model_quota",
    "billing_not_active": "model_quota",
    "model_not_found": "model_not_found",
    "context_length_exceeded": "context_too_long",
    "string_above_max_length": "context_too_long",
    "exceed_context_size_error": "context_too_long",
    "request_too_large": "context_too_long",
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "moderation_blocked": "content_filter",
    "data_inspection_failed": "content_filter",
    "overloaded_error": "model_overloaded",
    "server_overloaded": "model_overloaded",
    "engine_overloaded_error": "model_overloaded",
    "server_error": "model_unavailable",
}
"""Codes and types that have one meaning everywhere."""

WORDS: list[tuple[str, re.Pattern[str]]] = [
    (code, re.compile("|".join(patterns)))
    for code, patterns in (
        (
            "context_too_long",
            (
                r"context[ _-]?(?:length|window|size)",
                r"maximum context|max_model_len|num_ctx|contextwindowexceeded",
                r"(?:prompt|input|request|message|payload)(?: \w+){0,2} (?:is |are )?too (?:long|large|big)",
                r"too (?:long|large) for (?:the )?(?:model|requested)",
                r"too many (?:input |total )?tokens(?! per)|input token count",
                r"maximum (?:number of (?:input )?tokens|prompt length|input length)",
                r"reduce (?:the length|your message|the number of tokens)",
                r"request entity too large",
                r"exceeds? the (?:available context|maximum (?:number of )?tokens|model's|limit of \d+ tokens)",
            ),
        ),
        (
            "model_rate_limit",
            (
                r"per[- _](?:minute|min\b|second|hour)|\b(?:rpm|tpm)\b|rate[- _]?limit",
                r"too many requests|retry in \d|retrydelay",
            ),
        ),
        (
            "model_quota",
            (
                r"quota|billing|payment required|spend(?:ing)? limit|out of funds|in arrears",
                r"insufficient (?:\w+ )?(?:balance|credits?|funds)|balance (?:is )?(?:too low|insufficient)|credits\b",
                r"余额不足|欠费",
            ),
        ),
        (
            "model_tools",
            (
                r"(?:does not|doesn't|do not|not) support(?:ed)? (?:for )?(?:the )?(?:use of )?(?:tools?\b|function)",
                r"(?:does not|doesn't|do not|not) support(?:ed)? (?:for )?tool[- _](?:use|call|choice)",
                r"(?:tools?|tool[- _](?:use|calling|choice)|function calling)(?: \w+){0,2} (?:is |are )?"
                r"(?:not supported|unsupported)",
                r"support tool use|enable-auto-tool-choice",
            ),
        ),
        (
            "model_not_found",
            (
                r"model\b.{0,120}(?:not found|(?:does not|doesn't|not) exist|is not available|no longer|not a valid)",
                r"(?:no such|unknown|invalid|not a valid) model\b|try pulling it",
            ),
        ),
        (
            "model_auth",
            (
                r"api[- _]?key|unauthori[sz]ed|not authenticated|authentication|credentials",
                r"invalid (?:\w+ )?token",
            ),
        ),
        (
            "content_filter",
            (
                r"content[- _]?(?:filter|policy|management)|responsible ?ai",
                r"safety|moderation|inappropriate content",
            ),
        ),
        (
            "model_overloaded",
            (
                r"overloaded|at capacity|no capacity|high demand",
                r"loading model|model is (?:still |currently )?(?:loading|starting)",
                r"service is busy|server (?:is )?busy",
            ),
        ),
    )
]
"""The first match wins. Texts are in lower case."""

FILES = re.compile(r"image(?!_generation)|multimodal|mmproj|vision|input_file|\bpdf\b|\bfiles?\b")

STATUSES: dict[int, str] = {
    401: "model_auth",
    402: "model_quota",
    403: "model_forbidden",
    404: "model_not_found",
    408: "model_timeout",
    413: "context_too_long",
    429: "model_rate_limit",
    503: "model_overloaded",
    504: "model_timeout",
    529: "model_overloaded",
}

DECIDED_BY_WORDS = frozenset({None, 200, 400, 402, 403, 404, 413, 422, 429, 500})
"""Statuses that say little: providers report other things with them. A text with any other is only a detail."""


def provider_failure(error: Exception, default: str) -> str:
    """Return the code of `failures.TEXTS` for a provider's error; `default` if nothing in it is known."""
    codes = [str(code).lower() for code in _codes(error)]
    status = _status(error, codes)
    if status in (404, 405) and _is_of_a_web_server(getattr(error, "body", None)):
        return "model_endpoint"
    text = _words(error)
    is_too_large = status in (413, 429) and WORDS[0][1].search(text)
    for code in codes:
        if code in CODES and not is_too_large:
            return CODES[code]
    if status in DECIDED_BY_WORDS:
        for failure, pattern in WORDS:
            if pattern.search(text) and _fits(failure, status):
                return failure
        if status in (None, 400, 404, 415, 422, 500) and FILES.search(text):
            return "model_files"
    if "rate_limit_exceeded" in codes:
        return "model_rate_limit"
    return STATUSES.get(status or 0, default)


def _is_of_a_web_server(body: object) -> bool:
    """Return whether a path does not exist, and not a model: a page or a word of a web server, not an error in JSON."""
    if isinstance(body, str):
        return "model" not in body or "<html" in body[:1000].lower()
    return body == {"detail": "Not Found"} or body == {"detail": "Method Not Allowed"}  # FastAPI's, of vLLM and others


def _fits(failure: str, status: int | None) -> bool:
    """Return whether a status may go with this failure: words alone mislead where the status is clear."""
    match failure:
        case "model_auth":
            return status in (None, 200, 400, 403, 500)
        case "model_rate_limit":
            return status in (None, 200, 403, 429, 500)
    return True


def _codes(error: Exception) -> Iterator[str | int]:
    body: Any = getattr(error, "body", None)
    nested = body.get("error") if isinstance(body, dict) else None
    for source in (body, nested if isinstance(nested, dict) else None):
        if isinstance(source, dict):
            yield from (source[name] for name in ("code", "type", "status") if isinstance(source.get(name), str | int))
    for name in ("code", "type"):
        if isinstance(value := getattr(error, name, None), str | int):
            yield value


def _status(error: Exception, codes: list[str]) -> int | None:
    """Return the HTTP status, or the one that an error within a stream names as its code."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return status
    return next((int(code) for code in codes if code.isdigit() and 400 <= int(code) < 600), None)


def _words(error: Exception) -> str:
    body = getattr(error, "body", None)
    return f"{getattr(error, 'message', None) or ''} {body or ''}".lower()
