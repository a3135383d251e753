"""A desk for lost luggage: files through a store of its own, dictation, a state that the constructor takes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrailTripwireTriggered,
    RunConfig,
    RunContextWrapper,
    Runner,
    function_tool,
    input_guardrail,
)
from agents.model_settings import ModelSettings
from chatkit.agents import AgentContext, ThreadItemConverter, stream_agent_response
from chatkit.server import ChatKitServer
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    Attachment,
    AudioInput,
    HiddenContextItem,
    ImageAttachment,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    TranscriptionResult,
    UserMessageItem,
)
from fastapi import APIRouter, Request, Response
from openai import AsyncOpenAI
from openai.types.responses import ResponseInputContentParam, ResponseInputImageParam, ResponseInputTextParam
from openai.types.responses.response_input_param import Message

from .attachment_store import LocalAttachmentStore
from .memory_store import MemoryStore


@dataclass
class Desk:
    """What the desk knows of its travellers, by thread."""

    reports: dict[str, list[str]] = field(default_factory=dict)
    payments: list[int] = field(default_factory=list)
    questions: int = 0
    """How often somebody asked."""

    def report(self, thread_id: str, bag: str) -> int:
        bags = self.reports.setdefault(thread_id, [])
        bags.append(bag)
        return len(bags)


class DeskConverter(ThreadItemConverter):
    """Shows pictures to the model, and names other files."""

    def __init__(self, files: LocalAttachmentStore) -> None:
        self.files = files

    async def attachment_to_message_content(self, attachment: Attachment) -> ResponseInputContentParam:
        if isinstance(attachment, ImageAttachment):
            return ResponseInputImageParam(type="input_image", detail="auto", image_url=self.files.data_url(attachment))
        return ResponseInputTextParam(type="input_text", text=f"The traveller sent the file {attachment.name}.")


def build_agent(desk: Desk) -> Agent[AgentContext]:
    @function_tool(description_override="Report a bag as lost.")
    async def report_bag(ctx: RunContextWrapper[AgentContext], description: str) -> dict[str, int]:
        return {"bags_reported": desk.report(ctx.context.thread.id, description)}

    @function_tool(needs_approval=True, description_override="Pay for a lost bag.")
    async def pay(ctx: RunContextWrapper[AgentContext], euros: int) -> str:
        desk.payments.append(euros)
        return f"{euros} euros are paid"

    @input_guardrail
    async def is_about_luggage(
        ctx: RunContextWrapper[AgentContext], agent: Agent[Any], input: str | list[Any]
    ) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered="poem" in str(input[-2:]))

    return Agent[AgentContext](
        name="Luggage desk",
        input_guardrails=[is_about_luggage],
        model="gpt-4.1-mini",
        instructions="You take reports of lost bags.",
        tools=[report_bag, pay],
    )


class LuggageServer(ChatKitServer[dict[str, Any]]):
    """The server of the desk."""

    def __init__(self, desk: Desk) -> None:
        store = MemoryStore()
        self.files = LocalAttachmentStore(store)
        super().__init__(store, self.files)
        self.desk = desk
        self.agent = build_agent(desk)
        self.converter = DeskConverter(self.files)

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        self.desk.questions += 1
        if input_user_message is not None:
            thread.metadata["asked"] = thread.metadata.get("asked", 0) + 1
            note = HiddenContextItem(
                id=self.store.generate_item_id("message", thread, context),
                thread_id=thread.id,
                created_at=datetime.now(),
                content="<DESK_OPEN/>",
            )
            await self.store.add_thread_item(thread.id, note, context=context)
        page = await self.store.load_thread_items(thread.id, None, 20, "desc", context)
        items = list(reversed(page.data))
        bags = self.desk.reports.get(thread.id, [])
        desk_item = Message(
            type="message",
            role="user",
            content=[ResponseInputTextParam(type="input_text", text=f"<BAGS>{', '.join(bags)}</BAGS>")],
        )
        agent_context = AgentContext(thread=thread, store=self.store, request_context=context)
        result = Runner.run_streamed(
            self.agent,
            [desk_item, *await self.converter.to_agent_input(items)],
            context=agent_context,
            run_config=RunConfig(model_settings=ModelSettings(temperature=0.3)),
        )
        try:
            async for event in stream_agent_response(agent_context, result):
                yield event
        except InputGuardrailTripwireTriggered:
            yield ThreadItemDoneEvent(
                item=AssistantMessageItem(
                    id=self.store.generate_item_id("message", thread, context),
                    thread_id=thread.id,
                    created_at=datetime.now(),
                    content=[AssistantMessageContent(text="Only luggage, please.")],
                )
            )

    async def transcribe(self, audio_input: AudioInput, context: dict[str, Any]) -> TranscriptionResult:
        name = f"recording.{audio_input.media_type.partition('/')[2]}"
        async with AsyncOpenAI() as client:
            transcription = await client.audio.transcriptions.create(
                model="gpt-4o-mini-transcribe", file=(name, audio_input.data, audio_input.media_type)
            )
        return TranscriptionResult(text=transcription.text)


luggage_server = LuggageServer(Desk())

router = APIRouter()


@router.post("/files/{attachment_id}", name="upload_attachment")
async def upload(attachment_id: str, request: Request) -> dict[str, Any]:
    async with request.form() as form:
        file = form["file"]
        assert not isinstance(file, str)
        attachment = await luggage_server.files.write(attachment_id, await file.read(), {"request": request})
    return attachment.model_dump(mode="json")


@router.get("/files/{attachment_id}", name="download_attachment")
async def download(attachment_id: str) -> Response:
    return Response(luggage_server.files.read(attachment_id), media_type="image/png")
