"""The description of the API at `/api/docs`: Swagger UI, with its files from this server instead of a CDN.

The files are those of the package fastapi-offline, which comes with the extra `docs`.
"""

from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from .page_files import PageFiles

OPENAPI = "/api/openapi.json"
DOCS = "/api/docs"
DOCS_FILES = "/api/docs-files"
NOT_INSTALLED = """<!doctype html><meta charset="utf-8"><title>API</title>
<p>This page needs the extra <code>docs</code>: <code>pip install "chatkit-server[docs]"</code>, then start the server
again. Its source, the OpenAPI document, is at <a href="openapi.json">openapi.json</a>."""


def add_api_docs(app: FastAPI) -> None:
    """Serve the description of the app, which was created with `openapi_url=OPENAPI`."""
    package = find_spec("fastapi_offline")
    swagger = Path(package.origin).parent / "static" if package and package.origin else None

    @app.get(DOCS, include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        if swagger is None:
            return HTMLResponse(NOT_INSTALLED)
        root = request.scope.get("root_path", "").rstrip("/")
        return get_swagger_ui_html(
            openapi_url=f"{root}{OPENAPI}",
            title=app.title,
            swagger_js_url=f"{root}{DOCS_FILES}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{DOCS_FILES}/swagger-ui.css",
            swagger_favicon_url=f"{root}/favicon.svg",
        )

    app.mount(DOCS_FILES, PageFiles(lambda: swagger), name="docs-files")
