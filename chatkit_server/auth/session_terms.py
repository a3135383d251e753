"""The parts of a chat session that say what it allows, in the shapes of OpenAI's API. Rows of sessions hold them."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, StrictBool, StrictFloat, StrictInt, StrictStr, field_validator, model_validator

from chatkit_store import ChatSession

from ..context import SessionTerms

MEGABYTE = 1024 * 1024
MAX_STATE_CHARACTERS = 65_536
"""Of all keys and texts of `state_variables`: every request with the secret reads them."""
MAX_KEY = 64
MAX_COUNT = 2**31 - 1

Name = Annotated[StrictStr, Field(min_length=1, max_length=255)]
Count = Annotated[StrictInt, Field(ge=1, le=MAX_COUNT)]


class SessionPart(BaseModel):
    """Base of these shapes. A null means the default, and unknown fields are ignored, as by OpenAI."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        return {name: entry for name, entry in value.items() if entry is not None} if isinstance(value, dict) else value


class Switch(SessionPart):
    """`automatic_thread_titling` and `tracing`."""

    enabled: StrictBool = True


class FileUpload(SessionPart):
    """`file_upload`; `max_file_size` in megabytes."""

    enabled: StrictBool = False
    max_file_size: Annotated[StrictInt, Field(ge=1, le=512)] = 512
    max_files: Count = 10


class History(SessionPart):
    """`history`."""

    enabled: StrictBool = True
    recent_threads: Count | None = None


class Configuration(SessionPart):
    """`chatkit_configuration`."""

    automatic_thread_titling: Switch = Switch()
    file_upload: FileUpload = FileUpload()
    history: History = History()


EVERYTHING = Configuration(file_upload=FileUpload(enabled=True, max_files=MAX_COUNT))
"""Only the server's own limits hold."""


class Workflow(SessionPart):
    """`workflow`: which agent answers, and what the customer's backend says about the user."""

    id: Name
    version: Name | None = None
    state_variables: dict[str, StrictStr | StrictBool | StrictInt | StrictFloat] | None = None
    tracing: Switch = Switch()

    @field_validator("state_variables", mode="before")
    @classmethod
    def _are_primitive(cls, value: Any) -> Any:
        if isinstance(value, dict) and not all(isinstance(entry, str | int | float) for entry in value.values()):
            raise ValueError("values must be strings, numbers or booleans")
        return value

    @model_validator(mode="after")
    def _are_few(self) -> Self:
        variables = self.state_variables or {}
        if any(len(key) > MAX_KEY for key in variables):
            raise ValueError(f"the keys of state_variables may have at most {MAX_KEY} characters")
        size = sum(len(key) + (len(value) if isinstance(value, str) else 0) for key, value in variables.items())
        if size > MAX_STATE_CHARACTERS:
            raise ValueError(f"state_variables may have at most {MAX_STATE_CHARACTERS} characters together")
        return self


def terms_of(session: ChatSession) -> SessionTerms:
    """Return what a session allows."""
    workflow = Workflow.model_validate_json(session.workflow)
    configuration = Configuration.model_validate_json(session.configuration)
    files = configuration.file_upload
    return SessionTerms(
        id=session.session_id,
        workflow_id=workflow.id,
        requests_per_minute=session.requests_per_minute,
        workflow_version=workflow.version,
        state_variables=workflow.state_variables or {},
        has_titles=configuration.automatic_thread_titling.enabled,
        has_uploads=files.enabled,
        max_file_bytes=files.max_file_size * MEGABYTE,
        max_files=files.max_files,
        has_history=configuration.history.enabled,
        recent_threads=configuration.history.recent_threads,
        has_tracing=workflow.tracing.enabled,
    )
