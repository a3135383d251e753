"""Whether a model answers."""

import asyncio
import struct
from collections.abc import AsyncIterator, Collection
from typing import Literal

import openai

from ...errors.failures import failure_from_code, to_turn_failure
from ...errors.model_problem import ADVICE, place_of, reason_of
from ...models.one_shot import ask_once
from ...models.transcription import Transcriber
from ...services import Services
from ...settings import Settings, variable_of
from ..agent_check import AnsweringModel
from ..own_endpoint import own_address
from .finding import Finding

MODEL_SECONDS = 30.0
QUESTION = ("You are being tested.", "Answer with the word OK.")
RATE = 16_000
SILENCE = struct.pack(
    "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + RATE, b"WAVE", b"fmt ", 16, 1, 1, RATE, RATE * 2, 2, 16, b"data", RATE
) + bytes(RATE)
"""Half a second of WAV."""


async def examine_model(services: Services, answering: AnsweringModel) -> Finding:
    """Return what is to be said of a model, after one short question."""
    info = services.models.info
    name = f"{answering.name} ({info.provider})" if answering.is_at_endpoint else answering.name
    if not answering.is_from_settings:
        name += f" of the agent {answering.agent}"
    elif not answering.is_at_endpoint:  # the demo, or the embedded model, which is too slow to ask
        mark: Literal["ok", "WARN"] = "WARN" if services.settings.environment == "production" else "ok"
        return Finding("model", f"{name} ({info.provider}): {info.note}" if info.note else name, mark)
    place = f" at {place_of(services.models.base_url)}" if answering.is_at_endpoint else ""
    try:
        async with asyncio.timeout(MODEL_SECONDS):
            await ask_once(answering.model, answering.name, *QUESTION)
    except TimeoutError:
        return Finding("model", f"{name}{place} did not answer within {MODEL_SECONDS:g} seconds", "WRONG")
    except Exception as error:  # a provider may raise anything
        own = own_address(services.settings) if answering.is_at_endpoint else None
        return Finding("model", f"{name}{place}: {own or _reason(error, answering, services.settings)}", "WRONG")
    return Finding("model", f"{name} answers")


async def examine_named_models(services: Services, answering: Collection[str]) -> AsyncIterator[Finding]:
    """Yield what is to be said of the models that no agent names: those of CHATKIT_MODELS, titles and dictation."""
    models, settings = services.models, services.settings
    if models.base_url is not None:
        named = {choice.id: "CHATKIT_MODELS" for choice in settings.models}
        if settings.titles and settings.title_model:
            named.setdefault(settings.title_model, "CHATKIT_TITLE_MODEL")
        for name, variable in named.items():
            if name not in answering:
                model = models.provider.get_model(name)
                finding = await examine_model(
                    services, AnsweringModel(name, model, variable, is_from_settings=True, is_at_endpoint=True)
                )
                yield Finding(finding.name, f"{variable}: {finding.text}", finding.mark)
    if models.transcriber is not None:
        yield await _examine_dictation(models.transcriber, settings)


async def _examine_dictation(transcriber: Transcriber, settings: Settings) -> Finding:
    name = str(settings.transcription_model)
    try:
        async with asyncio.timeout(MODEL_SECONDS):
            await transcriber.transcribe(SILENCE, "audio/wav")
    except TimeoutError:
        return Finding("dictation", f"{name} did not answer within {MODEL_SECONDS:g} seconds", "WRONG")
    except openai.OpenAIError as error:
        key, url = "CHATKIT_TRANSCRIPTION_API_KEY", "CHATKIT_TRANSCRIPTION_BASE_URL"
        if settings.transcription_base_url is None:
            url = variable_of("base_url", settings.base_url)
            key = key if settings.transcription_api_key else "OPENAI_API_KEY"
        code, cause = _code_and_cause(error)
        advice = ADVICE.get(code, "Correct CHATKIT_TRANSCRIPTION_MODEL.").replace("OPENAI_API_KEY", key)
        return Finding("dictation", f"{name}: {code} ({cause}). {advice.replace('{variable}', url)}", "WRONG")
    return Finding("dictation", f"{name} answers")


def _code_and_cause(error: Exception) -> tuple[str, str]:
    return to_turn_failure(error).code, reason_of(error)


def _reason(error: Exception, answering: AnsweringModel, settings: Settings) -> str:
    """Return code, cause and advice, without the provider's own text, which may contain keys."""
    code, cause = _code_and_cause(error)
    if answering.is_at_endpoint:
        variable = variable_of("base_url", settings.base_url)
        advice = ADVICE.get(code, str(failure_from_code(code))).replace("{variable}", variable)
    else:
        advice = f"Check how the agent {answering.agent} creates it."
    return f"{code} ({cause}). {advice}"
