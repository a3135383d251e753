"""Call a model once, outside any run: without tools, history, streaming or tracing."""

from agents import Model, ModelTracing
from agents.models.default_models import get_default_model_settings
from openai.types.responses import EasyInputMessageParam, ResponseOutputMessage, ResponseOutputText


async def ask_once(model: Model, name: str, instructions: str, text: str) -> str:
    """Return the text of the model's answer, which may be empty. Raises what the model raises.

    `name` is the model's name, which selects the default settings.
    """
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
