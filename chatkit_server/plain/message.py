"""A message from a plain client, and its translation to a request of the ChatKit protocol."""

from typing import Annotated

from chatkit.types import (
    InferenceOptions,
    ThreadAddUserMessageParams,
    ThreadCreateParams,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ToolChoice,
    UserMessageInput,
    UserMessageTextContent,
)
from pydantic import BaseModel, Field

EXAMPLE = {"message": "What is 6 times 7?", "thread_id": None}


class Message(BaseModel):
    """A message to a new or existing thread."""

    message: Annotated[str, Field(description="The text.", examples=["What is 6 times 7?"])]
    thread_id: Annotated[
        str | None, Field(description="The thread to continue; null starts a new one.", examples=["thr_0123"])
    ] = None
    attachments: Annotated[list[str], Field(description="Ids of uploaded files.")] = []
    model: Annotated[str | None, Field(description="One of the models that the server offers.")] = None
    tool_choice: Annotated[str | None, Field(description="Id of a tool that the answer must use.")] = None

    def request(self) -> ThreadsCreateReq | ThreadsAddUserMessageReq:
        """Return the message as a request of the ChatKit protocol."""
        content = UserMessageInput(
            content=[UserMessageTextContent(text=self.message)],
            attachments=self.attachments,
            inference_options=InferenceOptions(
                model=self.model, tool_choice=ToolChoice(id=self.tool_choice) if self.tool_choice else None
            ),
        )
        if self.thread_id is None:
            return ThreadsCreateReq(params=ThreadCreateParams(input=content))
        return ThreadsAddUserMessageReq(params=ThreadAddUserMessageParams(thread_id=self.thread_id, input=content))
