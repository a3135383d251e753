"""Assemble the server: `create_app` builds its parts, the lifespan opens and closes them."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from chatkit_store import (
    AllThreadsStore,
    ApiKeyStore,
    ChatSessionStore,
    HeartbeatStore,
    JournalStore,
    Listener,
    SqlStore,
    StatisticsStore,
    TurnStore,
    UploadStore,
)

from .adopted import AdoptedServer, ContextMaker, ServerChoice, load_agents_for, load_server
from .agents.turn_runner import installed_turn_runner
from .agents.turn_traces import installed_turn_traces
from .agents.workflows import AgentChoice
from .auth import LoginFunction, open_door
from .auth.api_keys import ApiKeys
from .auth.session_issuer import SessionIssuer
from .auth.signing_keys import load_signing_keys
from .context import RequestContext
from .errors.database_probe import DatabaseProbe
from .errors.outage import begin_outages
from .errors.setup import SetupError
from .files.attachment_store import FileAttachmentStore
from .files.blob_storage import make_blobs
from .files.generated_images import GeneratedImages
from .files.pruning import Pruner
from .files.signed_links import SignedLinks
from .files.user_files import UserFiles
from .interactions.actions import Actions
from .interactions.once import OnceRunner
from .interactions.sync_actions import SyncActions
from .models import open_models
from .routes import (
    answering,
    attach,
    attachments,
    chatkit,
    entities,
    health,
    messages,
    not_available,
    options,
    page_sessions,
    poll,
    retry,
    sessions,
    stop,
    stream_probe,
    threads,
    websocket,
)
from .routes.api_docs import OPENAPI, add_api_docs
from .routes.edge import Edge
from .routes.error_responses import install_error_handlers
from .routes.event_stream import ERROR_HEADER
from .routes.open_sockets import OpenSockets
from .routes.page import mount_page
from .routes.server_app import ServerApp
from .run.server import ChatServer
from .run.server_parts import ServerParts
from .services import Services
from .settings import Settings
from .startup.agent_check import answering_models, try_at_start
from .startup.event_loop import exit_with_loop, prepared_loop
from .startup.exposure import refuse_unsafe_production
from .startup.own_files import own_files
from .startup.schema import open_database, prepare_schema
from .startup.stop_signal import on_stop_signal
from .startup.warm_up import warming_up
from .turns.recent_turns import RecentTurns
from .turns.subscription import Pace
from .turns.turns import Turns
from .version import __version__

logger = logging.getLogger(__name__)

ALLOWED_HEADERS = [
    "content-type",
    "authorization",
    "accept",
    "accept-language",
    "chatkit-frame-instance-id",
    "last-event-id",
    "x-chatkit-detach",
    "x-chatkit-flush-ms",
    "idempotency-key",
    "if-none-match",
]


def create_app(
    settings: Settings | None = None,
    agent: AgentChoice | None = None,
    *,
    server: ServerChoice | None = None,
    context: ContextMaker | None = None,
    actions: Actions | None = None,
    auth: LoginFunction | None = None,
) -> FastAPI:
    """Return the ASGI application.

    `settings` default to those of the environment. `agent` is an `agents.Agent`, or a function that returns one for a
    request, or a mapping of workflow ids to them, from which a chat session chooses; it defaults to `settings.agent`.
    `server` is `ChatServer`, a subclass or a function that makes one; or any other `ChatKitServer` class or instance:
    it runs unchanged. It defaults to `settings.server`. `context` makes what the author's code gets as its context: of
    an agent, instead of the function `context` in its module (see `ChatServer.agent_context`); of another
    `ChatKitServer`, instead of `{"request": request}`. `actions` handle actions of widgets and the page, in addition to
    those of the agent's module and the server. `auth` says who sends a request: a function, async or not, or a
    dependency of FastAPI (`Depends(current_user)`), that returns a `User`, the user's id, or None; by default
    `settings.auth` does.

    Nothing is opened before the lifespan starts. Raises `SetupError`, `ModelSetupError` or `AgentSetupError` with a
    message that says what to change.
    """
    settings = settings or Settings()
    refuse_unsafe_production(settings, has_login=auth is not None)
    services = build_services(settings, agent, server, auth, context=context)
    services.server.actions.include(actions or Actions())
    app = ServerApp(
        title="chatkit-server",
        version=__version__,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=OPENAPI,
    )
    app.state.services = services
    app.state.is_running = False
    app.state.open_sockets = OpenSockets(settings)
    app.state.probe_allowance = stream_probe.probe_allowance()
    _add_middleware(app, settings)
    if settings.fast_path:
        app.trust_middleware()
    install_error_handlers(app)
    _add_routes(app)
    add_api_docs(app)
    mount_page(app, settings.page_dir)
    return app


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    app.add_middleware(Edge, settings=settings)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT"],
            allow_headers=[*ALLOWED_HEADERS, *settings.cors_headers],
            expose_headers=[
                "x-request-id",
                "x-chatkit-turn-id",
                "x-chatkit-thread-id",
                ERROR_HEADER,
                "etag",
                "retry-after",
            ],
            allow_credentials="*" not in settings.cors_origins,
        )


def _add_routes(app: FastAPI) -> None:
    for routes in (
        chatkit,
        attachments,
        options,
        sessions,
        page_sessions,
        threads,
        entities,
        messages,
        websocket,
        attach,
        stop,
        retry,
        answering,
        poll,
        health,
        stream_probe,
        not_available,
    ):
        app.include_router(routes.router)


def build_services(
    settings: Settings,
    agent: AgentChoice | None = None,
    server: ServerChoice | None = None,
    auth: LoginFunction | None = None,
    *,
    context: ContextMaker | None = None,
) -> Services:
    """Return the parts of an app, without asking whether they are safe to serve. See `create_app`."""
    models = open_models(settings)
    choice = server if server is not None else settings.server or ChatServer
    make_context = context or settings.server_context
    make_server = load_server(choice, make_context)
    chosen_agent = agent if agent is not None else settings.agent
    agents = load_agents_for(make_server, chosen_agent, make_context, tools=models.info.tools)
    engine = open_database(settings)
    chat_sessions = ChatSessionStore(engine)
    door = open_door(settings, auth, chat_sessions)
    store: SqlStore[RequestContext] = SqlStore(engine)
    turn_store = TurnStore(engine)
    uploads, blobs = UploadStore(engine), make_blobs(settings)
    files = FileAttachmentStore(uploads, blobs, settings, models.info) if settings.attachments else None
    links = SignedLinks(
        load_signing_keys(settings), uploads, blobs, public_url=settings.public_url, seconds=settings.link_seconds
    )
    parts = ServerParts(
        store=store,
        agents=agents,
        models=models,
        settings=settings,
        attachment_store=files,
        files_of=lambda context: UserFiles(uploads, blobs, links, context, settings.attachments_model_bytes),
        generated_images=GeneratedImages(uploads, blobs),
        authenticate=door.authenticate,
    )
    chat_server = make_server(parts)
    running = Turns(
        store, turn_store, JournalStore(engine), HeartbeatStore(engine), Listener(engine), chat_server, settings
    )
    once = OnceRunner(store.sync_actions, running.worker_id)
    return Services(
        settings=settings,
        engine=engine,
        store=store,
        turn_store=turn_store,
        all_threads=AllThreadsStore(engine),
        models=models,
        server=chat_server,
        turns=running,
        once=once,
        sync_actions=SyncActions(chat_server, once),
        door=door,
        session_issuer=SessionIssuer(chat_sessions, settings),
        api_keys=ApiKeys(settings, ApiKeyStore(engine)),
        attachments=None if isinstance(chat_server, AdoptedServer) else files,
        links=links,
        pruner=Pruner(uploads, blobs, timedelta(hours=settings.unsent_hours), chat_sessions),
        database_probe=DatabaseProbe(engine),
        recent_turns=RecentTurns(StatisticsStore(engine)),
        pace=Pace.of_settings(settings),
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    if not isinstance(app, ServerApp):
        raise SetupError(
            "`include_router` cannot take the router of the chat server, which needs its own middleware: use "
            '`app.mount("/chat", chat)` and `FastAPI(lifespan=lifespan_of(chat))`.'
        )
    services: Services = app.state.services
    settings = services.settings
    begin_outages(app.outage)
    try:
        await prepare_schema(services.engine, settings)
        with (
            own_files(settings),
            prepared_loop(settings.tool_threads),
            installed_turn_runner(),
            installed_turn_traces(),
        ):
            async with services.models, services.server.mcp, warming_up(services.models, app.router.routes):
                await _log_models(services)
                prune_every = timedelta(minutes=settings.prune_minutes)
                async with services.turns.running(), services.pruner.running(prune_every):
                    with on_stop_signal(services.turns.shutdown.begin), exit_with_loop(settings.stop_seconds):
                        app.state.is_running = True
                        yield
    finally:
        app.state.is_running = False
        app.outage.clear()
        await services.database_probe.aclose()
        await services.recent_turns.aclose()
        await services.door.aclose()
        await services.engine.dispose()


async def _log_models(services: Services) -> None:
    """Log which models answer, and what is wrong with the agent, as far as that shows before the first request."""
    info, trials = services.models.info, await try_at_start(services.server)
    for trial in trials:
        for problem in trial.problems:
            logger.warning("%s", problem)
    names = [model.name for model in answering_models(trials, services.models)]
    note = f": {info.note}" if info.note else ""
    logger.info("answers come from %s (%s)%s", " or ".join(names), info.provider, note)
