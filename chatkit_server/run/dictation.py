"""Dictation: what the widget records becomes text in the composer."""

import logging

import openai
from chatkit.types import AudioInput, TranscriptionResult

from ..context import RequestContext
from ..errors.failures import to_turn_failure
from ..errors.http import BodyTooLarge, InvalidAudio, ServerError
from ..errors.log_format import redacted_traceback
from ..models.transcription import FILE_NAMES, Transcriber

logger = logging.getLogger(__name__)

REFUSALS = (openai.BadRequestError, openai.UnprocessableEntityError)


class DictationFailed(ServerError):
    """The transcription's endpoint failed; nothing is lost but the recording."""

    status = 502
    code = "dictation_failed"
    default_message = "The recording could not be turned into text just now. Please try again."


async def dictate(
    transcriber: Transcriber, audio: AudioInput, context: RequestContext, max_bytes: int
) -> TranscriptionResult:
    """The text of a recording.

    Raises `InvalidAudio` for one that is empty, of a format nobody takes, or refused by the endpoint, `BodyTooLarge`
    beyond `max_bytes`, `TurnFailed` or `DictationFailed` where the endpoint fails.
    """
    media_type = audio.media_type.strip().lower()
    if not audio.data:
        raise InvalidAudio("The recording is empty. Please try again, and check the microphone.")
    if media_type not in FILE_NAMES:
        raise InvalidAudio(f"Recordings of the type {media_type[:60]} cannot be turned into text.")
    if len(audio.data) > max_bytes:
        raise BodyTooLarge("The recording is too long. Please dictate less at once.")
    try:
        return TranscriptionResult(text=await transcriber.transcribe(audio.data, media_type))
    except REFUSALS as error:
        logger.warning("request %s: a recording was refused\n%s", context.request_id, redacted_traceback(error))
        raise InvalidAudio("The recording could not be understood. Please try again.") from None
    except (TimeoutError, openai.APITimeoutError) as error:
        raise DictationFailed("The recording took too long to turn into text. Please dictate less at once.") from error
    except openai.APIStatusError as error:
        raise to_turn_failure(error) from None
    except openai.OpenAIError as error:
        raise DictationFailed from error
