"""Every recorded stream: of the endpoints that the conformance suite knows, of OpenAI's two APIs, and odd ones."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.abilities import BOTH, BROKEN, CUT, HELLO, ROME, THINK
from tests.conformance.endpoints import ENDPOINTS
from tests.conformance.server import answer_to
from tests.fast_path.replay import events_of
from tests.models import test_odd_answers as odd
from tests.support.openai_answers import (
    SERVER_ERROR,
    Answer,
    Break,
    Citation,
    FileCitation,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    WebSearch,
)
from tests.support.openai_wire import ChatWire, ResponsesWire, Step
from tests.support.raw_endpoint import DONE, chunk

REQUEST = {"stream": True, "stream_options": {"include_usage": True}}
WORDS = ["The ", "quick ", "brown ", '"Grüße', ' 🦊"', "\\ ", "\n", "data: x\n\n", "jumps. "]
ROME_CALL = ToolCall("get_weather", {"city": "Rome"})
OPENAI_ANSWERS: dict[str, Answer] = {
    "text": Answer(Text("", tokens=WORDS * 3)),
    "one token": Answer("Hello."),
    "citations": Answer(Text("", tokens=WORDS, citations=[Citation("https://a.example", "A", 0, 5)])),
    "a file": Answer(Text("", tokens=WORDS, citations=[FileCitation("a.pdf", index=3)])),
    "refusal": Answer(refusal="I cannot do that, sorry."),
    "text, then a refusal": Answer(output=[Text("Well, I think so."), Refusal("I cannot do that.")]),
    "reasoning": Answer(Text("", tokens=WORDS), reasoning=Reasoning(["First this.", "Then that."])),
    "raw reasoning": Answer(Text("", tokens=WORDS), reasoning=Reasoning(text="I think, so I am.")),
    "two texts": Answer(output=[Text("", tokens=WORDS), Text("Another one, too.")]),
    "text between tools": Answer(output=[Text("I look it up."), ROME_CALL, Text("And now this one."), ROME_CALL]),
    "a search": Answer(output=[WebSearch("weather"), Text("It is sunny, they say.")]),
    "handoff": Answer(output=[Text("I ask somebody."), ToolCall("transfer_to_other")]),
    "cut at a length": Answer(Text("", tokens=WORDS), incomplete="max_output_tokens"),
    "filtered": Answer(Text("", tokens=WORDS), incomplete="content_filter"),
}
LATER = Answer("It is sunny in all of it.")


@dataclass(frozen=True)
class Recorded:
    """A stream that answers the first request, and one for those that follow."""

    name: str
    api: str
    events: list[bytes]
    later: list[bytes] = field(default_factory=list)
    is_cut: bool = False
    """Whether the connection ends behind it, without an end of the body."""


def recorded(api: str) -> list[Recorded]:
    """Return all streams of an API."""
    streams = list(_of_openai(api))
    return streams if api == "responses" else [*streams, *_of_endpoints(), *_odd_ones()]


def wire_events(answer: Answer, api: str) -> list[bytes]:
    """Return the events of an answer of OpenAI."""
    return [event for event, _ in _steps(answer, api)]


def _steps(answer: Answer, api: str) -> list[Step]:
    return list((ResponsesWire if api == "responses" else ChatWire)(answer, REQUEST).steps())


def _of_openai(api: str) -> Iterator[Recorded]:
    later = wire_events(LATER, api)
    for name, answer in OPENAI_ANSWERS.items():
        yield Recorded(f"OpenAI: {name}", api, wire_events(answer, api), later)
    whole = Answer(Text("", tokens=WORDS))
    breaks: tuple[Break, ...] = ("error", "nested_error", "failed")
    for how in breaks if api == "responses" else breaks[:1]:
        wire: Any = (ResponsesWire if api == "responses" else ChatWire)(whole, REQUEST)
        begun = _until_token(wire.steps(), 5)
        yield Recorded(f"OpenAI: breaks with {how}", api, [*begun, wire.breaking(SERVER_ERROR, how)], later)
    yield Recorded("OpenAI: dropped", api, _until_token(iter(_steps(whole, api)), 5), later, is_cut=True)
    yield Recorded("OpenAI: ends early", api, _until_token(iter(_steps(whole, api)), 5), later)


def _until_token(steps: Iterator[Step], number: int) -> list[bytes]:
    events: list[bytes] = []
    for event, is_token in steps:
        number -= is_token
        if number < 0:
            break
        events.append(event)
    return events


def _of_endpoints() -> Iterator[Recorded]:
    for endpoint in ENDPOINTS:
        for question, _ in (HELLO, THINK, ROME, BOTH, BROKEN, CUT):
            if endpoint.is_openai or (question == THINK[0] and endpoint.shape.think is None):
                continue
            say = answer_to([{"role": "user", "content": question}])
            asked = [{"role": "user", "content": question}, *({"role": "tool", "content": "rain"} for _ in say.calls)]
            events = list(endpoint.shape.stream(say, 0))
            later = list(endpoint.shape.stream(answer_to(asked), 10))
            yield Recorded(f"{endpoint.name}: {question}", "chat_completions", events, later, is_cut=say.is_cut)


def _odd_ones() -> Iterator[Recorded]:
    fine = events_of(odd.FINE.partition(b"\r\n\r\n")[2])
    for name, (parts, _) in odd.CALLS.items():
        events = [*parts, chunk({}, "tool_calls"), DONE]
        yield Recorded(f"odd call: {name}", "chat_completions", events, fine)
    for name, (reply, _) in (odd.ANSWERS | odd.FAILURES).items():
        if isinstance(reply, bytes) and b"text/event-stream" in reply:
            yield Recorded(f"odd: {name}", "chat_completions", events_of(reply.partition(b"\r\n\r\n")[2]), fine)
