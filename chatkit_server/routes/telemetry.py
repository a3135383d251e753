"""Ask only now and then whether FastAPI's telemetry is on.

FastAPI (0.165) asks for each request, and OpenTelemetry answers from the process's environment: as long as nobody
has set a provider, that takes longer than all other layers around the routes.

Builds on private names of FastAPI: `_native_telemetry` of an app, and `enabled` of that. If one is gone, FastAPI asks
as often as it does; then tests/routes/test_telemetry.py fails.
"""

from collections.abc import Callable
from time import monotonic

from fastapi import FastAPI

ASK_SECONDS = 1.0
"""How long it counts that nobody has set a provider."""


def ask_seldom(app: FastAPI) -> bool:
    """Let an app remember that telemetry is off; return whether it does."""
    telemetry = getattr(app, "_native_telemetry", None)
    is_enabled: Callable[[], bool] | None = getattr(telemetry, "enabled", None)
    if telemetry is None or is_enabled is None:
        return False
    off_until = 0.0

    def enabled() -> bool:
        nonlocal off_until
        if (now := monotonic()) < off_until:
            return False
        if is_enabled():
            return True
        off_until = now + ASK_SECONDS
        return False

    telemetry.enabled = enabled
    return True
