"""Advice on failures of a model's endpoint for administrators: where it is, why it fails, and what to do next.

The texts have the provider's status and codes, but not its words, which may quote keys and messages.
"""

from urllib.parse import urlsplit

import httpx2
import openai

from .log_format import codes_of, redacted_message
from .network import innermost_network_error, network_reason

NO_REQUEST = httpx2.Request("POST", "http://model.invalid/v1/chat/completions")
"""A placeholder: openai's classes require the failed request, and some of our errors have none at hand."""
ITS_URL = "its URL (CHATKIT_BASE_URL or OPENAI_BASE_URL)"

ADVICE = {
    "model_auth": "Correct OPENAI_API_KEY.",
    "model_forbidden": "Let the key's account use this model, or choose another.",
    "model_not_found": "Choose an existing model. The path of the URL may be wrong, too; it mostly ends in /v1.",
    "model_endpoint": "No model's endpoint is at this path: correct {variable}; it mostly ends in /v1.",
    "model_quota": "Its quota is used up: check the account.",
    "model_rate_limit": "It gets too many requests: try again in a moment.",
    "model_timeout": "Make sure that it runs there, or correct {variable}.",
    "model_unreachable": "Make sure that it runs there and can be reached from here, or correct {variable}.",
    "model_unavailable": "It has an internal problem: try again in a moment, and check its log.",
    "model_overloaded": "It is overloaded or still starting: try again in a moment, and check its log.",
    "model_bad_request": "It does not accept such requests: try the other value of CHATKIT_API.",
    "model_tools": "Choose a model that can use tools, or an agent without tools.",
    "model_files": "Choose a model that reads pictures and files, or send none.",
    "context_too_long": "Choose a model with a larger context, or start a new conversation.",
    "content_filter": "Its content rules blocked this: see the rules of the account.",
    "answer_cut": "Check its log, and the time limits of a proxy in between.",
}
"""What an administrator can do about a failure of the endpoint, whose URL `{variable}` sets."""

OUTSIDE = ADVICE.keys() - {"model_bad_request"}
"""The codes of failures of the network or the provider, of which a traceback says nothing. A bad request may be the
fault of the agent or this server."""


def explain_model_error(error: Exception, code: str, last_url: object = None) -> str | None:
    """Return one line on `error`, whose code is `code`; None if the code is not of a model's endpoint.

    `last_url` is where the turn sent its last request to a model; it counts if the error does not name its own.
    """
    if code not in ADVICE:
        return None
    request = getattr(error, "request", None)
    url = request.url if isinstance(request, httpx2.Request) and request is not NO_REQUEST else last_url
    advice = getattr(error, "advice", None) or ADVICE[code].replace("{variable}", ITS_URL)
    return f"{code}: {place_of(url)} ({reason_of(error)}). {advice}"


def reason_of(error: Exception) -> str:
    """Return why a request failed: the network's words, the provider's status and codes, or else the exception."""
    if isinstance(reason := getattr(error, "reason", None), str):
        return reason
    if isinstance(error, openai.APITimeoutError):
        return "no answer in time"
    network = innermost_network_error(error) if isinstance(error, openai.APIConnectionError) else None
    if network is not None:
        return network_reason(network)
    if isinstance(error.__cause__, httpx2.RequestError):
        is_closed = isinstance(error.__cause__, httpx2.ReadError | httpx2.RemoteProtocolError)
        return "it closed the connection" if is_closed else type(error.__cause__).__name__
    return codes_of(error) or redacted_message(error)


def place_of(url: object) -> str:
    """Return the URL of a model's endpoint for the log: without a user, a password, a query or a fragment."""
    if url is None:
        return "the model's endpoint"
    parts = urlsplit(str(url))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
