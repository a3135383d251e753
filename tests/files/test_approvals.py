"""Files in a run that waits for an approval: not saved in its row, and restored when it resumes."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, Runner, ToolOutputFileContent, ToolOutputImage, ToolOutputText, function_tool

from tests.files.test_generated_images import FULL_IMAGE, PARTIAL_IMAGES
from tests.files.test_messages import parts_of, whole_database
from tests.files.uploading import PDF, TEXT, UploadClient, picture, sqlite_only
from tests.interactions.approval_export import WorkflowInput
from tests.interactions.test_approvals import agent, call, cards, press
from tests.support.openai_answers import Answer, Image, ToolCall
from tests.turns.conftest import Start

pytestmark = sqlite_only


async def test_a_paused_run_keeps_its_files_out_of_the_database(start: Start) -> None:
    done: list[str] = []
    async with UploadClient.of(await start(agent(done))) as client:
        uploads = [
            await client.upload(picture(), "a.png", "image/png"),
            await client.upload(PDF, "a.pdf", "application/pdf"),
            await client.upload(TEXT, "a.txt"),
        ]
        client.chat.upstream.script(
            Answer(output=[Image(FULL_IMAGE, PARTIAL_IMAGES), call(1)]),
            Answer(tool_calls=[call(2)]),
            Answer("Both are deleted."),
        )
        reply = await client.send(*(upload.id for upload in uploads))
        parts = parts_of(client.chat)
        assert [part["type"] for part in parts] == ["input_text", "input_image", "input_file", "input_text"]
        for number in (1, 2):
            stored = await whole_database(client.chat)
            assert "paused" in stored or "waiting" in stored
            assert (";base64," in stored, "iVBORw0KGgo" in stored) == (False, False)
            card = cards(client.tab, reply.thread_id)[-1]
            assert (await press(client.tab, reply.thread_id, card, "Approve")).error is None
            assert len(done) == number
            assert parts_of(client.chat) == parts
        assert (await client.tab.reload(reply.thread_id)).texts()[-1] == ("assistant", "Both are deleted.")


@pytest.mark.parametrize("is_stored", [True, False])
async def test_tool_outputs_with_files_are_kept_out_of_the_database(start: Start, is_stored: bool) -> None:
    """Images, files, and text that contains some; all are restored when the run resumes."""
    encoded = base64.b64encode(picture()).decode()
    url = f"data:image/png;base64,{encoded}"

    @function_tool
    def look() -> list[ToolOutputImage | ToolOutputFileContent | ToolOutputText]:
        """Looks."""
        return [
            ToolOutputImage(image_url=url),
            ToolOutputFileContent(file_data=url, filename="a.png"),
            ToolOutputText(text=json.dumps({"picture": url})),
        ]

    done: list[str] = []
    async with UploadClient.of(await start(agent(done, look))) as client:
        look_first = Answer(tool_calls=[ToolCall("look", {}, "call_of_look")])
        client.chat.upstream.script(look_first, Answer(tool_calls=[call(1)]), Answer("It is deleted."))
        reply = await client.send(text="Look, then delete")
        before = [item for item in client.chat.upstream.requests[1].body["input"] if "output" in item]
        assert str(before).count(encoded) == 3
        stored = await whole_database(client.chat)
        assert (";base64," in stored, encoded in stored) == (False, False)
        if not is_stored:
            for path in client.stored_files():
                (Path(client.chat.services.settings.data_dir) / "files" / path).unlink()
        answer = await press(client.tab, reply.thread_id, cards(client.tab, reply.thread_id)[-1], "Approve")
        assert (answer.error, answer.text, len(done)) == (None, "It is deleted.", 1)
        after = [item for item in client.chat.upstream.requests[2].body["input"] if "output" in item]
        assert after[0] == before[0] if is_stored else "not stored" in str(after[0])
        await client.tab.post("threads.delete", {"thread_id": reply.thread_id})
        await client.chat.services.pruner.prune()
        assert client.stored_files() == []


async def test_a_paused_run_resumes_without_a_file_that_is_gone(start: Start) -> None:
    done: list[str] = []
    async with UploadClient.of(await start(agent(done))) as client:
        image = (await client.upload(picture(), "a.png", "image/png")).id
        client.chat.upstream.script(Answer(tool_calls=[call(1)]), Answer("It is deleted."))
        reply = await client.send(image)
        await client.chat.services.pruner._blobs.delete(image)
        answer = await press(client.tab, reply.thread_id, cards(client.tab, reply.thread_id)[-1], "Approve")
        assert (answer.error, answer.text, len(done)) == (None, "It is deleted.", 1)
        assert parts_of(client.chat)[1]["text"] == "[The user attached a file that cannot be read: a.png (image/png)]"


async def test_a_workflow_that_waits_keeps_its_files_out_of_the_database(start: Start) -> None:
    done: list[str] = []
    looker, clerk = Agent[Any](name="Looker"), agent(done)

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        message: Any = {"role": "user", "content": workflow_input.input_as_text}
        looked = await Runner.run(looker, [message])
        await Runner.run(clerk, [message, *[item.to_input_item() for item in looked.new_items]])
        return {"output_text": (await Runner.run(looker, [message])).final_output}

    async with UploadClient.of(await start(run_workflow)) as client:
        upstream = client.chat.upstream
        image = (await client.upload(picture(), "a.png", "image/png")).id
        upstream.script(Answer("A picture."), Answer(tool_calls=[call(1)]), Answer(tool_calls=[call(2)]))
        reply = await client.send(image)
        for number in (1, 2):
            stored = await whole_database(client.chat)
            assert "waiting" in stored
            assert (";base64," in stored, "iVBORw0KGgo" in stored) == (False, False)
            if number == 2:
                upstream.script(Answer("Both are deleted."), Answer("The end."))
            answer = await press(client.tab, reply.thread_id, cards(client.tab, reply.thread_id)[-1], "Approve")
            assert (answer.error, len(done)) == (None, number)
        assert answer.text.endswith("The end.")
        messages = [request.body["input"][0]["content"] for request in upstream.requests]
    assert [part["type"] for part in messages[0]] == ["input_text", "input_image"]
    assert all(message == messages[0] for message in messages)
    assert len(messages) == 5
