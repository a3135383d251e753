"""What an author's code gets as its context, by every way into the server."""

from pathlib import Path
from typing import Any

import pytest
from chatkit.types import ThreadItemDoneEvent, ThreadMetadata
from starlette.requests import Request

from chatkit_server import RequestContext
from chatkit_server.adopted.author_context import AuthorContexts
from chatkit_server.errors.setup import SetupError
from tests.adopted.play_server import PlayServer, message
from tests.serving import serve


async def hello(server: PlayServer, thread: ThreadMetadata, context: Any) -> Any:
    yield ThreadItemDoneEvent(item=message(thread, "hello", f"msg_{thread.id}"))


async def test_by_default_it_is_the_request_in_a_dict(tmp_path: Path) -> None:
    server = PlayServer(hello)
    async with serve(tmp_path, server=server) as served, served.tab() as tab:
        await tab.create("hello")
    (context,) = server.contexts
    assert set(context) == {"request"}
    request = context["request"]
    assert isinstance(request, Request)
    assert (request.url.path, request.headers["accept"]) == ("/chatkit", "text/event-stream")


async def test_a_function_makes_another_once_for_each_request(tmp_path: Path) -> None:
    made: list[Any] = []

    async def context(request: Request, request_context: RequestContext) -> Any:
        made.append((request.headers["chatkit-frame-instance-id"], request_context.user_id))
        return made[-1]

    server = PlayServer(hello)
    async with serve(tmp_path, server=server, context=context) as served, served.tab() as tab:
        reply = await tab.create("hello")
        owner = await served.owner(reply.thread_id)
        assert made == server.contexts == [(tab.frame_id, owner.user_id)]


async def test_a_message_of_the_plain_api_and_of_a_websocket_has_a_request_too(tmp_path: Path) -> None:
    server = PlayServer(hello, hello)
    async with serve(tmp_path, server=server) as served, served.tab() as tab:
        body = {"message": "hello"}
        async with tab.session.post(f"{served.url}/api/stream/message?by=post", json=body) as response:
            assert '"token":"hello"' in await response.text()
        async with tab.session.ws_connect(f"{served.url}/api/stream/ws?by=socket") as socket:
            await socket.send_json(body)
            while not (await socket.receive_json()).get("done"):
                pass
    requests = [context["request"] for context in server.contexts]
    assert [request.query_params["by"] for request in requests] == ["post", "socket"]
    assert all(isinstance(request, Request) for request in requests)
    assert requests[1].url.scheme == "http"


@pytest.mark.parametrize(
    ("make", "takes_ours"),
    [
        (lambda request: None, False),
        (lambda request, debug=None: debug, False),
        (lambda request, request_context=None: request_context, True),
        (lambda request, mine: mine, True),
        (lambda *parts: parts[1] if len(parts) > 1 else None, False),
    ],
)
async def test_our_context_is_passed_to_functions_that_need_it(make: Any, takes_ours: bool) -> None:
    context = RequestContext("alice")
    assert await AuthorContexts(make).context_for(context) is (context if takes_ours else None)


@pytest.mark.parametrize("make", [lambda: 1, lambda one, two, three: 1, 5])
def test_a_function_that_does_not_fit_is_refused(make: Any) -> None:
    with pytest.raises(SetupError, match="context"):
        AuthorContexts(make)
