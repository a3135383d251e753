"""Liveness, readiness, and which model answers."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import text

from chatkit_store import StoreError, StoreUnavailable
from chatkit_store.errors import translate_errors

from ..errors.database_problem import summarize_database_error
from ..errors.http import DatabaseUnavailable, ServerStopping, to_server_error
from ..errors.outage import A_REQUEST, database_outage
from ..services import services_of
from .error_responses import error_response

router = APIRouter(tags=["health"])


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", summary="The process is up")
async def healthz() -> dict[str, str]:
    """Liveness probe: does not depend on the database or any other service."""
    return {"status": "ok"}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", summary="The server can take requests")
async def readyz(request: Request) -> JSONResponse:
    """Readiness probe: 503 while the database cannot be reached, and once the server is stopping.

    A disconnected MCP server is reported but does not make the server unready: only its tools are missing.
    """
    services = services_of(request)
    if services.turns.is_closing:
        return error_response(ServerStopping(), request.state.request_id)
    try:
        with translate_errors():
            async with services.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
    except StoreError as error:
        if isinstance(error, StoreUnavailable):
            database_outage.failed(A_REQUEST, error)  # logged once per outage, not per probe
        else:
            to_server_error(error)
        return error_response(DatabaseUnavailable(summarize_database_error(error)), request.state.request_id)
    mcp = {name: "away" if problem else "ok" for name, problem in services.server.mcp.problems().items()}
    return JSONResponse({"status": "ok", "database": "ok"} | ({"mcp": mcp} if mcp else {}))


@router.head("/api/stream/health", include_in_schema=False)
@router.get("/api/stream/health", summary="Which model answers")
async def stream_health(request: Request) -> dict[str, object]:
    """Return the model and version that the page shows in its status line."""
    info = services_of(request).models.info
    model = {"provider": info.provider, "name": info.name, "note": info.note}
    return {"status": "ok", "model": model, "version": request.app.version}
