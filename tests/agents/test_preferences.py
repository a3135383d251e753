"""The default agent's form: shown, saved, changed, corrected. Runs on the real app with the demo model."""

from pathlib import Path

import pytest

from tests.serving import Tab, serve
from tests.support.openai_answers import Answer, ToolCall
from tests.support.openai_server import OpenAIServer
from tests.support.sse import Json


def texts(widget: Json) -> str:
    return str(widget["widget"])


async def open_form(tab: Tab) -> tuple[str, Json]:
    thread_id = (await tab.create("call ask_preferences {}")).thread_id
    (form,) = tab.pictures[thread_id].of_type("widget")
    return thread_id, form


async def test_saving_changes_the_card_and_the_form_can_be_opened_again(tmp_path: Path) -> None:
    async with serve(tmp_path) as served, served.tab() as tab:
        thread_id, form = await open_form(tab)
        assert "Time zone" in texts(form)
        payload = {"time_zone": "Europe/Berlin", "units": "imperial"}
        reply = await tab.action(thread_id, "preferences.save", payload, form["id"])
        assert "thread.item.replaced" in reply.types
        (card,) = tab.pictures[thread_id].of_type("widget")
        assert "Europe/Berlin" in texts(card)
        assert "Imperial" in texts(card)
        assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items
        rows = await served.rows("SELECT text FROM thread_items WHERE type = 'hidden_context_item'")
        assert rows == [{"text": "The user's preferences are now: time zone Europe/Berlin, imperial units."}]
        assert (await served.load_thread(thread_id)).metadata == {"preferences": payload}
        again = payload | {"units": "metric"}
        twice = await tab.action(thread_id, "preferences.save", again, form["id"])
        assert twice.types == ["error"]
        await tab.action(thread_id, "preferences.change", None, form["id"])
    async with serve(tmp_path) as served, served.tab(cookies=tab.cookies) as tab:
        (form,) = (await tab.reload(thread_id)).of_type("widget")
        assert "'defaultValue': 'Europe/Berlin'" in texts(form)
        assert "'defaultValue': 'imperial'" in texts(form)
        assert (await tab.action(thread_id, "preferences.save", payload, form["id"])).error is None


@pytest.mark.parametrize("zone", ["Paris", "../etc"])
async def test_the_form_reports_an_unknown_zone_and_keeps_the_input(tmp_path: Path, zone: str) -> None:
    async with serve(tmp_path) as served, served.tab() as tab:
        thread_id, form = await open_form(tab)
        await tab.action(thread_id, "preferences.save", {"time_zone": zone, "units": "metric"}, form["id"])
        (again,) = (await tab.reload(thread_id)).of_type("widget")
        assert f"There is no time zone '{zone}'" in texts(again)
        assert f"'defaultValue': '{zone}'" in texts(again)
        assert (await served.load_thread(thread_id)).metadata == {}
        bad = await tab.action(thread_id, "preferences.save", {"time_zone": "UTC", "units": "cubits"}, form["id"])
        assert "units: Input should be 'metric' or 'imperial'" in bad.events[-1]["message"]


async def test_the_model_learns_the_saved_values(tmp_path: Path) -> None:
    async with OpenAIServer() as upstream:
        upstream.script(Answer(tool_calls=[ToolCall("ask_preferences")]), Answer("Please fill it in."))
        settings: Json = {"model": "gpt-test", "base_url": upstream.base_url, "api": "responses"}
        async with serve(tmp_path, **settings) as served, served.tab() as tab:
            thread_id = (await tab.create("Set my units")).thread_id
            (form,) = tab.pictures[thread_id].of_type("widget")
            await tab.action(thread_id, "preferences.save", {"time_zone": "UTC", "units": "metric"}, form["id"])
            await tab.send(thread_id, "How far is it?")
        assert "time zone UTC, metric units" in str(upstream.requests[-1].body["input"])
