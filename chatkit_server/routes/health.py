"""Liveness, readiness, and which model answers."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from chatkit_store import StoreError, StoreUnavailable

from ..errors.database_problem import summarize_database_error
from ..errors.http import DatabaseUnavailable, ServerError, ServerStopping, to_server_error
from ..errors.outage import A_REQUEST, database_outage
from ..services import services_of
from .error_responses import error_response

router = APIRouter(tags=["health"])

PROBE_SECONDS = 0.8
"""How long `/readyz` waits for the database; orchestrators give a probe one second."""


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", summary="The process is up")
async def healthz() -> dict[str, str]:
    """Liveness probe: does not depend on the database or any other service."""
    return {"status": "ok"}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", summary="The server can take requests")
async def readyz(request: Request) -> JSONResponse:
    """Readiness probe: 503 while the database does not answer, and once the server is stopping; always within 1 s.

    A disconnected MCP server is reported but does not make the server unready: only its tools are missing.
    """
    services = services_of(request)
    if services.turns.is_closing:
        return error_response(ServerStopping(), request.state.request_id)
    problem = await services.database_probe.problem(PROBE_SECONDS)
    if problem is not None:
        return error_response(_database_error(problem), request.state.request_id)
    mcp = {name: "away" if problem else "ok" for name, problem in services.server.mcp.problems().items()}
    return JSONResponse({"status": "ok", "database": "ok"} | ({"mcp": mcp} if mcp else {}))


def _database_error(problem: StoreError | str) -> ServerError:
    """Return the error with its cause, and log it once per outage, not per probe."""
    if isinstance(problem, str):
        return DatabaseUnavailable(problem)
    if isinstance(problem, StoreUnavailable):
        database_outage.failed(A_REQUEST, problem)
    else:
        to_server_error(problem)
    return DatabaseUnavailable(summarize_database_error(problem))


@router.head("/api/stream/health", include_in_schema=False)
@router.get("/api/stream/health", summary="Which model answers")
async def stream_health(request: Request) -> dict[str, object]:
    """Return the model and version that the page shows in its status line."""
    info = services_of(request).models.info
    model = {"provider": info.provider, "name": info.name, "note": info.note}
    return {"status": "ok", "model": model, "version": request.app.version}
