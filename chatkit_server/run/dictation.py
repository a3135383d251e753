"""Transcribe recordings from the widget's composer."""

import logging

import openai
from chatkit.types import AudioInput, TranscriptionResult

from ..errors.failures import to_turn_failure
from ..errors.http import BodyTooLarge, DictationFailed, InvalidAudio
from ..errors.log_format import redacted_traceback
from ..models.transcription import FILE_NAMES, Transcriber

logger = logging.getLogger(__name__)

REJECTIONS = (openai.BadRequestError, openai.UnprocessableEntityError)


async def dictate(transcriber: Transcriber, audio: AudioInput, max_bytes: int) -> TranscriptionResult:
    """Return the text of a recording.

    Raises `InvalidAudio` if it is empty, of an unsupported type, or rejected by the endpoint; `BodyTooLarge` if it is
    larger than `max_bytes`; `TurnFailed` or `DictationFailed` if the endpoint fails.
    """
    media_type = audio.media_type.strip().lower()
    if not audio.data:
        raise InvalidAudio("The recording is empty. Please try again, and check the microphone.")
    if media_type not in FILE_NAMES:
        raise InvalidAudio(f"Recordings of the type {media_type[:60]} cannot be transcribed.")
    if len(audio.data) > max_bytes:
        raise BodyTooLarge("The recording is too long. Please dictate a shorter text.")
    try:
        return TranscriptionResult(text=await transcriber.transcribe(audio.data, media_type))
    except REJECTIONS as error:
        logger.warning("a recording was rejected\n%s", redacted_traceback(error))
        raise InvalidAudio("The recording could not be understood. Please try again.") from None
    except (TimeoutError, openai.APITimeoutError) as error:
        raise DictationFailed("The recording took too long to transcribe. Please dictate a shorter text.") from error
    except openai.APIStatusError as error:
        raise to_turn_failure(error, subject="dictation") from None
    except openai.OpenAIError as error:
        raise DictationFailed from error
