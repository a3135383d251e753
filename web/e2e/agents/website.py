"""`examples/logins/fastapi` with the probe that the tests wait for: `uvicorn website:app`."""

from examples.logins.fastapi.app import app


@app.get("/healthz")
def healthy() -> str:
    """Answer once the website has started."""
    return "ok"
