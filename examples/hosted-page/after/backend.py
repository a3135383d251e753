"""The website: it logs users in, serves the page, and makes a ChatKit session for whoever is logged in."""

import os
import secrets
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from openai import OpenAI
from starlette.middleware.sessions import SessionMiddleware

WORKFLOW_ID = os.environ.get("WORKFLOW_ID", "wf_acme_support")
PAGE = os.environ.get("PAGE", str(Path(__file__).with_name("html")))
USERS = {"ada": "lovelace", "grace": "hopper", "mary": "jackson"}  # a real website keeps hashes of passwords

client = OpenAI(base_url="http://localhost:8000/v1", api_key=os.environ["CHAT_API_KEY"])

site = FastAPI()
site.add_middleware(SessionMiddleware, secret_key=os.environ.get("SITE_SECRET") or secrets.token_hex(32))


@site.post("/api/chatkit/session")
def create_session(request: Request) -> dict[str, Any]:
    """Return a client secret to the page of the user who is logged in."""
    user = request.session.get("user")
    if user not in USERS:
        raise HTTPException(401, "Please log in.")
    session = client.beta.chatkit.sessions.create(
        user=user,
        workflow={"id": WORKFLOW_ID, "state_variables": {"plan": "pro"}},
        chatkit_configuration={"file_upload": {"enabled": True, "max_files": 3}},
    )
    return {"client_secret": session.client_secret, "expires_at": session.expires_at}


@site.get("/login", response_class=HTMLResponse)
def login_form() -> str:
    """Show the login form."""
    return """<!doctype html><html lang="en"><meta charset="utf-8"><title>Acme</title><form method="post">
<label>Name <input name="name" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button>Log in</button></form></html>"""


@site.post("/login")
def log_in(request: Request, name: Annotated[str, Form()], password: Annotated[str, Form()]) -> RedirectResponse:
    """Keep the user's name in the website's signed cookie."""
    expected = USERS.get(name)
    if expected is None or not secrets.compare_digest(expected.encode(), password.encode()):
        raise HTTPException(401, "Wrong name or password.")
    request.session["user"] = name
    return RedirectResponse("/", status_code=303)


site.mount("/", StaticFiles(directory=PAGE, html=True))
