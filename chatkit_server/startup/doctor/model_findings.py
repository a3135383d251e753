"""Whether a model answers."""

import asyncio
from urllib.parse import urlsplit

import openai

from ...errors.failures import to_turn_failure
from ...errors.log_format import codes_of, redacted_message
from ...errors.network import innermost_network_error, network_reason
from ...models.one_shot import ask_once
from ...services import Services
from ...settings import Settings, variable_of
from ..agent_check import AnsweringModel
from ..own_endpoint import own_address
from .finding import Finding

MODEL_SECONDS = 30.0
QUESTION = ("You are being tested.", "Answer with the word OK.")
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
    "model_bad_request": "It does not accept such requests: try the other value of CHATKIT_API.",
}
"""What an administrator can do about a failure of the endpoint, whose URL `{variable}` sets."""


async def examine_model(services: Services, answering: AnsweringModel) -> Finding:
    """Return what is to be said of a model, after one short question."""
    info = services.models.info
    name = f"{answering.name} ({info.provider})" if answering.is_at_endpoint else answering.name
    if not answering.is_from_settings:
        name += f" of the agent {answering.agent}"
    elif not answering.is_at_endpoint:  # the demo, or the embedded model, which is too slow to ask
        return Finding("model", f"{name} ({info.provider}): {info.note}" if info.note else name)
    place = _without_secrets(services.models.base_url) if answering.is_at_endpoint else ""
    try:
        async with asyncio.timeout(MODEL_SECONDS):
            await ask_once(answering.model, answering.name, *QUESTION)
    except TimeoutError:
        return Finding("model", f"{name}{place} did not answer within {MODEL_SECONDS:g} seconds", "WRONG")
    except Exception as error:  # a provider may raise anything
        own = own_address(services.settings) if answering.is_at_endpoint else None
        return Finding("model", f"{name}{place}: {own or _reason(error, answering, services.settings)}", "WRONG")
    return Finding("model", f"{name} answers")


def _without_secrets(base_url: str | None) -> str:
    parts = urlsplit(base_url or "")
    return f" at {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _reason(error: Exception, answering: AnsweringModel, settings: Settings) -> str:
    """Return code, cause and advice, without the provider's own text, which may contain keys."""
    failure = to_turn_failure(error)
    network = innermost_network_error(error) if isinstance(error, openai.APIConnectionError) else None
    cause = network_reason(network) if network is not None else codes_of(error) or redacted_message(error)
    if answering.is_at_endpoint:
        variable = variable_of("base_url", settings.base_url)
        advice = ADVICE.get(failure.code, str(failure)).replace("{variable}", variable)
    else:
        advice = f"Check how the agent {answering.agent} creates it."
    return f"{failure.code} ({cause}). {advice}"
