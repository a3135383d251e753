"""The parts that one app is made of, as its routes reach them."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import HTTPConnection

from chatkit_store import SqlStore, TurnStore

from .auth import Auth
from .context import RequestContext
from .files.attachment_store import FileAttachmentStore
from .files.pruning import Pruner
from .files.signed_links import SignedLinks
from .interactions.once import OnceRunner
from .interactions.sync_actions import SyncActions
from .models import Models
from .run.server import ChatServer
from .settings import Settings
from .turns.turns import Turns


@dataclass(frozen=True)
class Services:
    """Built by `create_app`, opened and closed by its lifespan."""

    settings: Settings
    engine: AsyncEngine
    store: SqlStore[RequestContext]
    turn_store: TurnStore
    models: Models
    server: ChatServer
    turns: Turns
    once: OnceRunner
    sync_actions: SyncActions
    auth: Auth
    attachments: FileAttachmentStore | None
    """None where they are switched off."""
    links: SignedLinks
    pruner: Pruner


def services_of(connection: HTTPConnection) -> Services:
    """The services of the app that serves this request."""
    services: Services = connection.app.state.services
    return services
