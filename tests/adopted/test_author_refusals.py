"""An `HTTPException` of an author's code keeps its status and text, as below FastAPI."""

from importlib import import_module, reload
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from starlette.requests import Request

from tests.adopted.play_server import PlayServer
from tests.serving import serve


def closed(request: Request) -> Any:
    raise HTTPException(403, "We are closed.")


async def test_one_of_the_context_is_shown_by_the_widget(tmp_path: Path) -> None:
    async with serve(tmp_path, server=PlayServer(), context=closed) as served, served.tab() as tab:
        reply = await tab.create("hello")
        assert reply.error == {"type": "error", "code": "custom", "message": "We are closed.", "allow_retry": False}
        assert await served.rows("SELECT id FROM threads") == []


async def test_other_clients_get_the_status(tmp_path: Path) -> None:
    async with serve(tmp_path, server=PlayServer(), context=closed) as served, served.tab() as tab:
        async with tab.session.post(f"{served.url}/api/stream/message", json={"message": "hello"}) as response:
            body = await response.json()
            assert (response.status, body["code"], body["message"]) == (403, "refused", "We are closed.")


async def test_one_of_its_attachment_store_refuses_the_file(tmp_path: Path) -> None:
    desk = reload(import_module("tests.adopted.servers.luggage_desk"))
    async with serve(tmp_path, server=desk.luggage_server, attachments=True) as served, served.tab() as tab:
        params = {"name": "trunk.txt", "size": 100_000, "mime_type": "text/plain"}
        reply = await tab.post("attachments.create", params)
        assert (reply.status, reply.body["message"]) == (413, "The desk takes files up to 64 KB.")
