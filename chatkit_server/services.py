"""The parts of an app, for its routes."""

import logging
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import HTTPConnection

from chatkit_store import AllThreadsStore, SqlStore, TurnStore

from .auth import Door
from .auth.api_keys import ApiKeys
from .auth.session_issuer import SessionIssuer
from .context import RequestContext
from .errors.database_probe import DatabaseProbe
from .errors.http import NotStarted
from .files.attachment_store import FileAttachmentStore
from .files.pruning import Pruner
from .files.signed_links import SignedLinks
from .interactions.once import OnceRunner
from .interactions.sync_actions import SyncActions
from .models import Models
from .run.server import ChatServer
from .settings import Settings
from .turns.recent_turns import RecentTurns
from .turns.subscription import Pace
from .turns.turns import Turns

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Services:
    """The parts of one app. `create_app` builds them, its lifespan opens and closes them."""

    settings: Settings
    engine: AsyncEngine
    store: SqlStore[RequestContext]
    turn_store: TurnStore
    all_threads: AllThreadsStore
    models: Models
    server: ChatServer
    turns: Turns
    once: OnceRunner
    sync_actions: SyncActions
    door: Door
    session_issuer: SessionIssuer
    api_keys: ApiKeys
    attachments: FileAttachmentStore | None
    """None if attachments are switched off."""
    links: SignedLinks
    pruner: Pruner
    database_probe: DatabaseProbe
    recent_turns: RecentTurns
    pace: Pace
    """How often readers get frames that do not ask for a window of their own."""


def services_of(connection: HTTPConnection) -> Services:
    """Return the services of the app that handles the connection.

    Raises `NotStarted` if its lifespan does not run: Starlette leaves that of a mounted app to the outer app.
    """
    state = connection.app.state
    if not state.is_running:
        logger.error("%s", NotStarted.default_message)
        raise NotStarted
    services: Services = state.services
    return services
