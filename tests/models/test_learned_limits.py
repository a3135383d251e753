"""What an endpoint refuses is left out of the next requests to the same model."""

from typing import Any

import httpx2
import openai
import pytest

from chatkit_server.models.fit_messages import UNREADABLE
from chatkit_server.models.learned_limits import FILLER, LearnedLimits

Json = dict[str, Any]


def refusal(text: str, status: int = 400) -> openai.APIStatusError:
    response = httpx2.Response(status, request=httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions"))
    return openai.APIStatusError(text, response=response, body={"message": text})


def request(**options: Any) -> Json:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}, "extra_content": {"a": 1}}
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "Hm.", "reasoning": "Hm."},
        {"role": "tool", "tool_call_id": "1", "content": "42"},
    ]
    tool = {"type": "function", "function": {"name": "look", "parameters": {}, "strict": True}}
    return {"model": "m", "messages": messages, "tools": [tool], **options}


def fitted(text: str, status: int = 400, **options: Any) -> Json:
    """Return the request after this refusal."""
    limits = LearnedLimits()
    assert limits.learn(refusal(text, status), request(**options))
    after = request(**options)
    limits.apply(after)
    return after


@pytest.mark.parametrize(
    ("text", "status", "field"),
    [
        ("'messages.1' : property 'reasoning_content' is unsupported", 400, "reasoning_content"),
        (
            '{"loc":["body","messages",1,"assistant","reasoning_content"],"type":"extra_forbidden"}',
            422,
            "reasoning_content",
        ),
        ("messages[1].reasoning: reasoning is not supported with this model", 400, "reasoning"),
        ('Invalid JSON payload received. Unknown name "reasoning": Cannot find field.', 400, "reasoning"),
    ],
)
def test_a_field_of_messages_is_left_out(text: str, status: int, field: str) -> None:
    message = fitted(text, status)["messages"][1]
    assert {"reasoning", "reasoning_content"} - message.keys() == {field}


def test_fields_of_calls_tools_and_the_request_are_left_out() -> None:
    assert "extra_content" not in fitted("Unknown field: extra_content")["messages"][1]["tool_calls"][0]
    assert "strict" not in fitted("tools.0.function.strict: Extra inputs are not permitted")["tools"][0]["function"]
    options: Json = {"stream_options": {"include_usage": True}, "parallel_tool_calls": True}
    after = fitted("Unrecognized request argument supplied: stream_options", **options)
    assert "stream_options" not in after
    assert after["parallel_tool_calls"] is True


@pytest.mark.parametrize(
    "text",
    [
        "thinking is enabled but reasoning_content is missing in assistant tool call message at index 1",
        "The `reasoning_content` in the thinking mode must be passed back to the API.",
    ],
)
def test_thoughts_that_an_endpoint_requires_are_filled_in(text: str) -> None:
    limits = LearnedLimits()
    without = request()
    del without["messages"][1]["reasoning_content"]
    assert limits.learn(refusal(text), without)
    limits.apply(without)
    assert without["messages"][1]["reasoning_content"] == FILLER
    kept = request()
    limits.apply(kept)
    assert kept["messages"][1]["reasoning_content"] == "Hm."
    assert not limits.learn(refusal(text), without)  # it did not help


def test_a_system_message_that_a_template_refuses_moves_to_the_users() -> None:
    limits = LearnedLimits()
    system = {"role": "system", "content": "Be brief."}
    body = request()
    body["messages"].insert(0, system)
    assert limits.learn(refusal("System role not supported"), body)
    limits.apply(body)
    assert body["messages"][0] == {"role": "user", "content": "Be brief.\n\na"}


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("image input is not supported - hint: if this is unexpected, you may need to provide the mmproj", 500),
        ("No endpoints found that support image input", 404),
        ("messages[0]: unknown variant `image_url`, expected `text`", 400),
        ("This model does not support images. Use a multimodal model.", 400),
        ("m is not a multimodal model", 400),
    ],
)
def test_earlier_pictures_that_a_model_cannot_read_become_notes(text: str, status: int) -> None:
    """The picture of the newest message is refused with an error for the user."""
    content = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    body = request()
    body["messages"][0]["content"] = content
    limits = LearnedLimits()
    assert not limits.learn(refusal(text, status), body)
    body["messages"] += [{"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    assert limits.learn(refusal(text, status), body)
    assert body["messages"][0]["content"] == f"a\n{UNREADABLE}"
    body["messages"][0]["content"] = body["messages"][-1]["content"] = content
    limits.apply(body)
    assert body["messages"][0]["content"] == f"a\n{UNREADABLE}"
    assert body["messages"][-1]["content"] == content
    assert not limits.learn(refusal(text, status), body)


def test_a_broken_picture_is_left_out_of_later_requests_of_its_thread_only() -> None:
    text = refusal("Invalid 'messages[0].content[1].image_url'. Please make sure your image is valid.")
    picture = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    body = request()
    body["messages"][0]["content"] = picture
    body["messages"] += [{"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    limits = LearnedLimits()
    assert limits.learn(text, body)
    assert body["messages"][0]["content"] == UNREADABLE
    body["messages"][0]["content"] = picture
    limits.apply(body)
    assert body["messages"][0]["content"] == picture


def test_null_content_and_missing_tools_are_filled_in() -> None:
    assert fitted("Invalid 'content': 'content' field must be a string")["messages"][1]["content"] == ""
    text = "The toolConfig field must be defined when using toolUse and toolResult content blocks."
    (tool,) = fitted(text, tools=openai.omit)["tools"]
    assert tool["function"]["name"] == "look"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("'reasoning_content' is unsupported", 429),
        ("'reasoning_content' is unsupported", 500),
        ("This model's maximum context length is 8192 tokens.", 400),
        ("Invalid 'messages[0].content[1].image_url'. Please make sure your image is valid.", 400),
        ("Unknown field: thinking_blocks", 400),  # it was not sent
    ],
)
def test_other_refusals_teach_nothing(text: str, status: int) -> None:
    assert not LearnedLimits().learn(refusal(text, status), request())


def test_other_models_of_the_endpoint_are_not_affected() -> None:
    limits = LearnedLimits()
    assert limits.learn(refusal("'reasoning_content' is unsupported"), request())
    other = request(model="other")
    limits.apply(other)
    assert other == request(model="other")


@pytest.mark.parametrize("said", ["The system role is not supported.", "image inputs are not supported"])
def test_what_a_refusal_quotes_from_a_conversation_teaches_nothing(said: str) -> None:
    """One user's words must not change what all others send."""
    limits = LearnedLimits()
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    text = f"[{{'type': 'string_type', 'msg': 'Input should be a valid string', 'input': '{said}'}}]"
    options = request(messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": said}])
    limits.learn(refusal(text), options)
    others = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [picture]},
        {"role": "user", "content": "b"},
    ]
    after = request(messages=list(others))
    limits.apply(after)
    assert after["messages"] == others
