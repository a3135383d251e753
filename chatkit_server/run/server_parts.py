"""The parts that `create_app` gives to a server."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chatkit.store import AttachmentStore
from starlette.requests import HTTPConnection

from chatkit_store import SqlStore

from ..agents.workflows import AgentSources
from ..context import RequestContext
from ..files.generated_images import GeneratedImages
from ..files.user_files import UserFiles
from ..models import Models
from ..settings import Settings


@dataclass(frozen=True, kw_only=True)
class ServerParts:
    """The parts that `create_app` gives to a server. A subclass with its own `__init__` passes them on."""

    store: SqlStore[RequestContext]
    agents: AgentSources
    models: Models
    settings: Settings
    attachment_store: AttachmentStore[RequestContext] | None
    """None if attachments are switched off."""
    files_of: Callable[[RequestContext], UserFiles]
    """Returns the files of a user, for the model."""
    generated_images: GeneratedImages
    """Stores the images that models draw."""
    authenticate: Callable[[HTTPConnection], Awaitable[RequestContext]]
    """Returns the context of a request, for code outside of our routes. Raises `ServerError`."""
