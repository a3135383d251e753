"""Liveness, readiness, and which model answers."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from chatkit_store import StoreError, StoreUnavailable, TurnStatistics

from ..errors.database_problem import summarize_database_error
from ..errors.http import DatabaseUnavailable, ServerError, ServerStopping
from ..errors.mapping import to_server_error
from ..errors.outage import A_REQUEST, database_outage
from ..services import services_of
from ..turns.recent_turns import WINDOW_SECONDS
from .error_responses import error_response

router = APIRouter(tags=["health"])

DEGRADED_RATE = 0.5
DEGRADED_TURNS = 3
"""At least so many failed turns, so that one failure at a quiet time raises no alarm."""
PROBE_SECONDS = 0.8
"""How long a probe waits for the database; orchestrators give a probe one second."""


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", summary="The process is up")
async def healthz() -> dict[str, str]:
    """Liveness probe: does not depend on the database or any other service."""
    return {"status": "ok"}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", summary="The server can take requests")
async def readyz(request: Request) -> JSONResponse:
    """Readiness probe: 503 while the database does not answer or lacks tables, if a server that an app mounts has not
    been started, and once the server is stopping; always within 1 s.

    A disconnected MCP server is reported but does not make the server unready: only its tools are missing.
    """
    services = services_of(request)
    if services.turns.shutdown.has_begun:
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
        database_outage().failed(A_REQUEST, problem)
    else:
        to_server_error(problem)
    return DatabaseUnavailable(summarize_database_error(problem))


@router.head("/api/stream/health", include_in_schema=False)
@router.get("/api/stream/health", summary="Which model answers, and how well")
async def stream_health(request: Request) -> dict[str, object]:
    """Return the model and version, and statistics of the last five minutes of all workers; always within 1 s.

    The statistics are null while the database does not answer. `status` is `degraded` then, and while at least half of
    the turns fail, three or more.
    """
    services = services_of(request)
    info = services.models.info
    statistics = await services.recent_turns.statistics(PROBE_SECONDS)
    return {
        "status": "degraded" if statistics is None or _are_failing(statistics) else "ok",
        "model": {"provider": info.provider, "name": info.name, "note": info.note},
        "version": request.app.version,
        "avg_latency_ms": statistics and statistics.first_token_ms,
        "error_rate": statistics and round(statistics.error_rate, 4),
        "tokens_per_second": statistics and statistics.tokens_per_second,
        "running_turns": statistics and statistics.running,
        "ended_turns": statistics and statistics.ended,
        "window_seconds": int(WINDOW_SECONDS),
    }


def _are_failing(statistics: TurnStatistics) -> bool:
    return statistics.failed >= DEGRADED_TURNS and statistics.error_rate >= DEGRADED_RATE
