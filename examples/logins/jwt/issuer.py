"""A small issuer of tokens, and a page with a chat whose server trusts them.

Run it with `uvicorn examples.logins.jwt.issuer:app --port 9000` and open http://localhost:9000. In production the
issuer is Keycloak, Auth0, Entra ID or your own; a chat server needs of it what `configuration`, `keys` and `token` do.
"""

import hmac
import os
import secrets
import time
from pathlib import Path
from typing import Annotated, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI, Form, HTTPException, Request
from fastapi.responses import FileResponse, RedirectResponse
from jwt.algorithms import RSAAlgorithm
from starlette.middleware.sessions import SessionMiddleware

ISSUER = os.environ.get("ISSUER_URL", "http://localhost:9000")
AUDIENCE = "chat"
TOKEN_SECONDS = 300
USERS = {  # a real issuer keeps hashes of passwords
    "ada": ("lovelace", "Ada Lovelace", ["admin"]),
    "grace": ("hopper", "Grace Hopper", []),
}
# A new key with each start, so tokens of the last one end. Its `kid` tells the server to read the keys again.
KEY, KID = rsa.generate_private_key(public_exponent=65537, key_size=2048), secrets.token_hex(8)

app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key=secrets.token_hex(32), same_site="strict")


@app.get("/.well-known/openid-configuration")
def configuration() -> dict[str, str]:
    """Say where the keys are (OpenID Connect discovery)."""
    return {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}


@app.get("/keys")
def keys() -> dict[str, Any]:
    """Publish the public key (JWKS)."""
    key = RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    return {"keys": [key | {"kid": KID, "use": "sig", "alg": "RS256"}]}


@app.post("/login")
def log_in(request: Request, name: Annotated[str, Form()], password: Annotated[str, Form()]) -> RedirectResponse:
    """Check the password, and remember the user in a cookie of the issuer."""
    expected = USERS.get(name, ("", "", []))[0]
    if not hmac.compare_digest(expected.encode(), password.encode()) or name not in USERS:
        raise HTTPException(401, "Wrong name or password.")
    request.session["user"] = name
    return RedirectResponse("/", status_code=303)


@app.post("/token")
def token(request: Request) -> dict[str, Any]:
    """Return a token of the user who is logged in, valid for five minutes. The page asks for the next one in time."""
    user, now = request.session.get("user"), int(time.time())
    if user not in USERS:
        raise HTTPException(401, "Please log in.")
    _, name, roles = USERS[user]
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": user, "name": name, "roles": roles, "iat": now}
    access_token = jwt.encode(claims | {"exp": now + TOKEN_SECONDS}, KEY, "RS256", headers={"kid": KID})
    return {"access_token": access_token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS}


@app.get("/")
def page() -> FileResponse:
    """Serve the page."""
    return FileResponse(Path(__file__).with_name("page.html"))
