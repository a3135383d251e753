"""Parse requests to the fake endpoint's `audio/transcriptions`, rejecting what OpenAI rejects."""

from dataclasses import dataclass

from aiohttp import web

from tests.support.openai_answers import Failure

FORMATS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
FIELDS = {"model", "response_format", "language", "prompt", "temperature"}


@dataclass(frozen=True)
class Recording:
    """One parsed multipart request."""

    authorization: str
    model: str
    response_format: str
    file_name: str
    content_type: str
    data: bytes


async def read_recording(http: web.Request) -> Recording | Failure:
    """Return the parsed request, or OpenAI's error for it."""
    if http.content_type != "multipart/form-data":
        return _bad_request(f"The request must be multipart/form-data, not {http.content_type}.", None)
    form = await http.post()
    file, model = form.get("file"), form.get("model")
    unknown = sorted({*form} - FIELDS - {"file"})
    if unknown:
        return _bad_request(f"Unrecognized request arguments supplied: {', '.join(unknown)}", unknown[0])
    if not isinstance(file, web.FileField):
        return _bad_request("Field `file` must be a file.", "file")
    if not isinstance(model, str) or not model:
        return _bad_request("you must provide a model parameter", "model")
    if file.filename.rpartition(".")[2] not in FORMATS:
        return _bad_request(f"Invalid file format. Supported formats: {list(FORMATS)}", "file")
    with file.file:
        data = file.file.read()
    if not data:
        return _bad_request("The audio file could not be decoded or its format is not supported.", "file")
    return Recording(
        authorization=http.headers.get("authorization", ""),
        model=model,
        response_format=str(form.get("response_format", "json")),
        file_name=file.filename,
        content_type=file.content_type,
        data=data,
    )


def _bad_request(message: str, param: str | None) -> Failure:
    return Failure(400, None, message, param=param)
