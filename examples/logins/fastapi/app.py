"""A website with its own login, and the chat behind it: one FastAPI app, one origin, one cookie.

Run it with `uvicorn examples.logins.fastapi.app:app` and open http://127.0.0.1:8000.
"""

import hashlib
import hmac
import logging
import os
import secrets
from html import escape
from typing import Annotated

from fastapi import FastAPI, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection

from chatkit_server import Settings, User, create_app, lifespan_of

logging.basicConfig()
logging.getLogger("chatkit_server").setLevel(logging.INFO)  # why a login failed, for example

# The website's users: a name, and scrypt's hash of the password with its salt. Yours are in your database.
USERS = {
    "ada": (
        "Ada Lovelace",
        "8f1d3c5a8f1d3c5a8f1d3c5a8f1d3c5a",
        "4effb41609d752a2423e9d3355fbec82d4744e5d9d2669802fa973946cf58817",
    ),
    "grace": (
        "Grace Hopper",
        "27b9e60427b9e60427b9e60427b9e604",
        "81e6d4120c2e9890ef84a33b2ea1bca639b92d198e2f280480d5d76ed40a7915",
    ),
}


async def logged_in_user(request: HTTPConnection) -> User | None:
    """Say to the chat server who sends a request: whom the website's session cookie names."""
    user_id = request.session.get("user_id")
    return User(user_id, name=USERS[user_id][0]) if user_id in USERS else None


chat = create_app(Settings(), auth=logged_in_user)
app = FastAPI(lifespan=lifespan_of(chat))  # a mounted app's lifespan runs only if its own app starts it
app.add_middleware(
    SessionMiddleware,
    secret_key=os.environ.get("SESSION_SECRET") or secrets.token_hex(32),  # a random one logs all out at a restart
    same_site="lax",
    https_only=os.environ.get("SITE_IS_HTTPS") == "true",
)
app.mount("/chat", chat)


@app.get("/", response_class=HTMLResponse)
def home(request: Request) -> str:
    """Show the login form, or where to go."""
    user_id = request.session.get("user_id")
    if user_id not in USERS:
        return page(LOGIN_FORM)
    return page(
        f'<p>Hello, {escape(USERS[user_id][0])}. <a href="chat/">Chat</a></p>'
        '<form method="post" action="logout"><button>Log out</button></form>'
    )


@app.post("/login")
def log_in(request: Request, name: Annotated[str, Form()], password: Annotated[str, Form()]) -> Response:
    """Check the password, and keep the user's id in the signed cookie."""
    if not is_password(name, password):
        return HTMLResponse(page("<p>Wrong name or password.</p>" + LOGIN_FORM), status_code=401)
    request.session["user_id"] = name
    return RedirectResponse("chat/", status_code=303)


@app.post("/logout")
def log_out(request: Request) -> RedirectResponse:
    """Forget the user."""
    request.session.clear()
    return RedirectResponse("./", status_code=303)


def is_password(name: str, password: str) -> bool:
    """Return whether this is the user's password; as slowly for an unknown user."""
    _, salt, expected = USERS.get(name, ("", "00", ""))
    found = hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), n=2**14, r=8, p=1, dklen=32).hex()
    return hmac.compare_digest(found, expected)


LOGIN_FORM = """<form method="post" action="login">
<label>Name <input name="name" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button>Log in</button>
</form>"""


def page(body: str) -> str:
    """Return a page of the website."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>A website</title><h1>A website</h1>{body}</html>'
    )
