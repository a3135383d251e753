"""One question to a model, outside of any run: no tools, no history, no stream, no trace."""

from agents import Model, ModelTracing
from agents.models.default_models import get_default_model_settings
from openai.types.responses import EasyInputMessageParam, ResponseOutputMessage, ResponseOutputText


async def ask_once(model: Model, name: str, instructions: str, text: str) -> str:
    """What the model, which is called `name`, answers in words; empty for none. Raises what the model raises."""
    response = await model.get_response(
        instructions,
        [EasyInputMessageParam(type="message", role="user", content=text)],
        get_default_model_settings(name),
        tools=[],
        output_schema=None,
        handoffs=[],
        tracing=ModelTracing.DISABLED,
        previous_response_id=None,
        conversation_id=None,
        prompt=None,
    )
    messages = (item for item in response.output if isinstance(item, ResponseOutputMessage))
    return "".join(part.text for item in messages for part in item.content if isinstance(part, ResponseOutputText))
