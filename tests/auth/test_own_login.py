"""A login of the user's own: what it may return, and what is said about one that cannot work."""

from collections.abc import Callable
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

import aiohttp
import pytest
from fastapi import HTTPException
from starlette.requests import HTTPConnection

from chatkit_server import NotAuthenticated, User, create_app
from chatkit_server.auth import Door, open_door
from chatkit_server.auth.own_login import OwnLogin
from chatkit_server.errors.setup import SetupError
from tests.serving import make_settings
from tests.support.live_server import live

REQUEST = HTTPConnection({"type": "http", "headers": [(b"x-user", b"ada")], "state": {"request_id": "r"}})


async def as_user(request: HTTPConnection) -> User | None:
    return User(request.headers["x-user"], name="Ada")


async def as_text(request: HTTPConnection) -> str:
    return request.headers["x-user"]


def in_a_thread(request: HTTPConnection) -> str:
    return "main" if current_thread() is main_thread() else "thread"


class Directory:
    """An object with an asynchronous `__call__`, something to close, and a problem."""

    closed = False

    async def __call__(self, request: HTTPConnection) -> User | None:
        return None if request.headers["x-user"] != "ada" else User("ada")

    async def aclose(self) -> None:
        self.closed = True

    async def problem(self) -> str | None:
        return "The directory is away."


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        (as_user, User("ada", name="Ada")),
        (as_text, User("ada")),
        (in_a_thread, User("thread")),
        (Directory(), User("ada")),
        (lambda request: as_text(request), User("ada")),
        (lambda request: None, None),
    ],
)
async def test_functions_and_objects_of_all_kinds(login: Any, expected: User | None) -> None:
    assert await OwnLogin(login, "The login")(REQUEST) == expected


@pytest.mark.parametrize("status", [401, 403])
async def test_an_http_exception_is_a_refusal_whose_reason_is_for_the_log(status: int) -> None:
    def refuse(request: HTTPConnection) -> User:
        raise HTTPException(status, "expired at noon")

    with pytest.raises(NotAuthenticated) as refusal:
        await OwnLogin(refuse, "The login")(REQUEST)
    assert refusal.value.reason == "The login: expired at noon"
    assert "noon" not in refusal.value.message


async def test_another_answer_is_an_error_and_nobody_s_login() -> None:
    with pytest.raises(TypeError, match=r"my_app:who returned int, not a chatkit_server\.User, a str, or None"):
        await OwnLogin(lambda request: 17, "my_app:who")(REQUEST)  # type: ignore[arg-type]
    with pytest.raises(NotAuthenticated):
        await Door([OwnLogin(lambda request: "", "The login")], None).authenticate(REQUEST)


async def test_the_door_closes_it_and_tells_its_problem() -> None:
    directory = Directory()
    door = Door([OwnLogin(directory, "The login"), OwnLogin(as_user, "Another")], None)
    assert await door.problems() == ["The directory is away."]
    await door.aclose()
    assert directory.closed


MODULE = """
from chatkit_server import User

async def who(request):
    name = request.headers.get("x-user")
    return User(name) if name else None

class Login:
    async def __call__(self, request):
        return None

def two(request, response):
    return None

nobody = None
"""


async def test_a_login_in_a_module_is_named_by_the_settings(tmp_path: Path) -> None:
    (tmp_path / "named_login.py").write_text(MODULE)
    app = create_app(make_settings(tmp_path, auth="named_login:who"))
    listing = {"type": "threads.list", "params": {}}
    async with live(app) as url, aiohttp.ClientSession(url) as http:
        for headers, status in (({"x-user": "ada"}, 200), ({}, 401)):
            async with http.post("/chatkit", json=listing, headers=headers) as response:
                assert response.status == status


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("missing_login:who", "CHATKIT_AUTH=missing_login:who cannot be imported: ModuleNotFoundError"),
        ("named_login:whom", "has no attribute 'whom'"),
        ("named_login:Login", "is a class; pass an instance of it"),
        ("named_login:nobody", "is of type NoneType, not a function that takes a request"),
        ("named_login:two", "must take one argument, the request: missing a required argument: 'response'"),
        ("broken_login:who", "cannot be imported: RuntimeError: no database"),
    ],
)
def test_a_login_that_cannot_work_is_a_sentence(tmp_path: Path, spec: str, text: str) -> None:
    (tmp_path / "named_login.py").write_text(MODULE)
    (tmp_path / "broken_login.py").write_text("raise RuntimeError('no database')")
    with pytest.raises(SetupError) as error:
        open_door(make_settings(tmp_path, auth=spec))
    assert text in str(error.value)


@pytest.mark.parametrize("login", [Directory, lambda: None])
def test_the_same_for_one_that_is_passed(tmp_path: Path, login: Callable[..., Any]) -> None:
    with pytest.raises(SetupError, match=r"^The login of create_app\(auth=\.\.\.\) "):
        create_app(make_settings(tmp_path), auth=login)
