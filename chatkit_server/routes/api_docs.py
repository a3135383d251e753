"""The description of the API at `/api/docs`: Swagger UI, with its files from this server instead of a CDN."""

from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from .page_files import PageFiles

OPENAPI = "/api/openapi.json"
DOCS = "/api/docs"
DOCS_FILES = "/api/docs-files"
SWAGGER = Path(str(files("fastapi_offline"))) / "static"


def add_api_docs(app: FastAPI) -> None:
    """Serve the description of the app, which was created with `openapi_url=OPENAPI`."""

    @app.get(DOCS, include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "").rstrip("/")
        return get_swagger_ui_html(
            openapi_url=f"{root}{OPENAPI}",
            title=app.title,
            swagger_js_url=f"{root}{DOCS_FILES}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{DOCS_FILES}/swagger-ui.css",
            swagger_favicon_url=f"{root}/favicon.svg",
        )

    app.mount(DOCS_FILES, PageFiles(lambda: SWAGGER), name="docs-files")
