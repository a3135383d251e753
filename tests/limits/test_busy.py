"""A worker that gives as many answers as it may lets others wait, and refuses those who wait in vain."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from agents import Agent

from chatkit_server import RequestContext
from tests.serving import Served, Tab, serve
from tests.stage import Stage
from tests.support.chatkit import LiveReply, user_input


@asynccontextmanager
async def busy(folder: Path, **settings: Any) -> AsyncIterator[tuple[Served, Stage, LiveReply, asyncio.Event]]:
    """Yield a server that gives its only answer, until the event is set."""
    stage, begun, release = Stage(), asyncio.Event(), asyncio.Event()

    async def wait(context: object) -> str:
        begun.set()
        await release.wait()
        return "waited"

    options: dict[str, Any] = {"running_turns": 1} | settings
    async with serve(folder, stage.agent, server=stage.factory(), **options) as served, served.tab() as tab:
        stage.play_tool(wait, before="Let me see.", after="Done.")
        async with tab.open("threads.create", {"input": user_input("Hello")}) as running:
            await running.wait_for("thread.created")
            await asyncio.wait_for(begun.wait(), 30)
            try:
                yield served, stage, running, release
            finally:
                release.set()


async def waiting(served: Served, count: int = 1) -> None:
    """Return once that many requests wait for their turn."""
    async with asyncio.timeout(30):
        while served.services.turns._queue.waiting != count:  # noqa: ASYNC110 - a queue has no event for it
            await asyncio.sleep(0.005)


async def test_the_next_one_waits_and_is_answered(tmp_path: Path) -> None:
    async with busy(tmp_path) as (served, stage, _, release), served.tab() as other:
        asked = asyncio.create_task(other.create("Me too"))
        await waiting(served)
        assert (await other.list())["data"] == []
        release.set()
        stage.play("Here you are.")
        assert (await asked).text == "Here you are."


async def test_a_running_answer_may_be_replaced_without_waiting(tmp_path: Path) -> None:
    async with busy(tmp_path) as (served, stage, running, _), served.tab() as other:
        asked = asyncio.create_task(other.create("Me too"))
        await waiting(served)
        stage.play("Instead.", "Yours.")
        owner = Tab(served.url, cookies=await cookies_of(served, running))
        async with owner:
            assert (await owner.send(running.thread_id, "Something else")).text == "Instead."
        assert (await asked).text == "Yours."


async def test_a_full_worker_tells_no_stranger_which_threads_are_answered(tmp_path: Path) -> None:
    async with busy(tmp_path, queue_length=0) as (served, _, running, _), served.tab() as stranger:
        replies = []
        for thread_id in (running.thread_id, "thr_" + "0" * 32):
            body = {"message": "Hello", "thread_id": thread_id}
            async with stranger.session.post(f"{served.url}/api/message", json=body) as response:
                replies.append((response.status, (await response.json())["code"]))
        assert replies == [(503, "server_busy")] * 2


async def test_a_stranger_does_not_hold_up_the_next_message_on_a_thread(tmp_path: Path) -> None:
    async with serve(tmp_path) as served, served.tab() as tab:
        thread_id = (await tab.create("Hello")).thread_id
        context = RequestContext("stranger")
        async with served.services.turns._lock(thread_id, context), asyncio.timeout(30):
            assert (await tab.send(thread_id, "Again")).error is None


async def cookies_of(served: Served, reply: LiveReply) -> Any:
    """Return the cookies of the browser that got the reply."""
    tab = served.tab()
    cookie = reply.headers["set-cookie"].partition(";")[0].partition("=")
    tab.cookies.update_cookies({cookie[0]: cookie[2]}, reply._response.url)
    await tab.session.close()
    return tab.cookies


@pytest.mark.parametrize("settings", [{"queue_length": 0}, {"queue_seconds": 0.05}], ids=["full", "too long"])
async def test_who_waits_in_vain_is_told_that_the_server_is_busy(tmp_path: Path, settings: dict[str, Any]) -> None:
    async with busy(tmp_path, **settings) as (served, _, _, _), served.tab(frame=False) as plain:
        other = await plain.create("Me too")
        assert (other.status, other.body["code"], other.headers["retry-after"]) == (503, "server_busy", "5")
        async with plain.session.post(f"{served.url}/api/message", json={"message": "Hi"}) as response:
            assert (response.status, response.headers["retry-after"]) == (503, "5")
        async with plain.session.ws_connect(f"{served.url}/api/stream/ws") as socket:
            await socket.send_json({"message": "Hi"})
            error = (await socket.receive_json(timeout=30))["error"]
            assert (error["code"], error["retry_after"]) == ("server_busy", 5)
        assert len(await served.rows("SELECT id FROM threads")) == 1


async def test_a_frame_is_told_in_the_chat_that_the_queue_is_full(tmp_path: Path) -> None:
    async with busy(tmp_path, queue_length=0) as (served, _, _, _), served.tab() as frame:
        refused = await frame.create("Me too")
        assert (refused.status, refused.types) == (200, ["error"])
        assert refused.error is not None
        assert "busy" in refused.error["message"]
        assert len(await served.rows("SELECT id FROM threads")) == 1


async def test_a_frame_that_has_waited_keeps_its_message_and_can_retry(tmp_path: Path) -> None:
    async with busy(tmp_path, queue_seconds=0.05) as (served, stage, running, release), served.tab() as frame:
        refused = await frame.create("Me too")
        assert refused.user_item["content"][0]["text"] == "Me too"
        assert refused.types[-1] == "error"
        assert refused.error is not None
        assert refused.error["allow_retry"]
        assert "busy" in refused.error["message"]
        (row,) = await served.rows("SELECT status, error_code FROM turns WHERE status <> 'running'")
        assert row == {"status": "failed", "error_code": "server_busy"}
        again = await frame.retry(refused.thread_id, refused.user_item["id"])
        assert again.error is not None  # still busy
        assert again.types == ["error"]
        release.set()
        await running.read()
        stage.play("Here you are.")
        assert (await frame.retry(refused.thread_id, refused.user_item["id"])).text == "Here you are."


@pytest.mark.parametrize("how", ["frame", "plain", "socket"])
async def test_a_client_that_leaves_the_queue_is_forgotten(tmp_path: Path, how: str) -> None:
    async with busy(tmp_path) as (served, _, running, release), served.tab() as other:
        if how == "socket":
            async with other.session.ws_connect(f"{served.url}/api/stream/ws") as socket:
                await socket.send_json({"message": "Hi"})
                await waiting(served)
        else:
            asked: asyncio.Task[Any] = asyncio.create_task(
                other.create("Hi") if how == "frame" else _send(other, f"{served.url}/api/message")
            )
            await waiting(served)
            asked.cancel()
        await waiting(served, 0)
        release.set()
        await running.read()
        assert len(await served.rows("SELECT id FROM threads")) == 1


async def _send(tab: Tab, url: str) -> bytes:
    async with tab.session.post(url, json={"message": "Hi"}) as response:
        return await response.read()


async def test_a_stop_on_a_socket_ends_the_wait(tmp_path: Path) -> None:
    async with busy(tmp_path) as (served, stage, _, release), served.tab() as other:
        async with other.session.ws_connect(f"{served.url}/api/stream/ws") as socket:
            await socket.send_json({"message": "Hi"})
            await waiting(served)
            await socket.send_json({"type": "stop"})
            await waiting(served, 0)
            release.set()
            stage.play("Still here.")
            await socket.send_json({"message": "Again"})
            async with asyncio.timeout(30):
                while (frame := await socket.receive_json())["type"] != "done":
                    pass
            assert frame["status"] == "completed"


async def test_a_stopping_server_refuses_who_waits(tmp_path: Path) -> None:
    async with busy(tmp_path, drain_seconds=60) as (served, _, _, _), served.tab() as other:
        asked = asyncio.create_task(other.create("Me too"))
        await waiting(served)
        served.services.turns.shutdown.drain()
        refused = await asked
        assert (refused.status, refused.body["code"]) == (503, "server_stopping")


async def test_requests_that_come_at_once_do_not_exceed_the_limit_together(tmp_path: Path) -> None:
    stage, most, running = Stage(), 0, 0

    async def count(context: object) -> str:
        nonlocal most, running
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return "counted"

    def agent() -> Agent[Any]:
        stage.play_tool(count)
        return stage.playing

    async with serve(tmp_path, agent, server=stage.factory(), running_turns=2) as served, served.tab() as tab:
        await tab.list()  # the tab has its cookie now
        replies = await asyncio.gather(*(tab.create(f"Hello {number}") for number in range(6)))
        assert [reply.error for reply in replies] == [None] * 6
        assert most <= 2
