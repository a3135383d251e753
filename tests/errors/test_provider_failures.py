"""What an error of a provider means: its status, codes and words, as providers really combine them."""

from typing import Any

import httpx2
import openai
import pytest

from chatkit_server.errors.failures import TEXTS, ProviderFailure, to_turn_failure
from chatkit_server.errors.retry_after import retry_after
from tests.support.raw_endpoint import RawEndpoint, http

LARGE = (
    "Request too large for model `llama-3.3-70b-versatile` on tokens per minute (TPM): Limit 12000, Requested 14137, "
    "please reduce your message size and try again."
)

# Status, code or type, message, and our code.
ERRORS: list[tuple[int, Any, str, str]] = [
    (402, None, "Insufficient Balance", "model_quota"),
    (402, 402, "This request requires more credits, or fewer max_tokens.", "model_quota"),
    (429, "insufficient_quota", "You exceeded your current quota, please check your plan", "model_quota"),
    (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", "model_quota"),
    (403, "billing_not_active", "Your account is not active", "model_quota"),
    (429, "1113", "余额不足或无可用资源包,请充值。", "model_quota"),
    (413, None, "Request too large", "context_too_long"),
    (413, None, "", "context_too_long"),
    (413, "rate_limit_exceeded", LARGE, "context_too_long"),
    (429, "rate_limit_exceeded", LARGE, "context_too_long"),
    (400, "context_length_exceeded", "…", "context_too_long"),
    (400, None, "This model's maximum context length is 4096 tokens. However, you requested 5000", "context_too_long"),
    (400, "exceed_context_size_error", "the request exceeds the available context size", "context_too_long"),
    (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", "context_too_long"),
    (400, 400, "The input token count (1200000) exceeds the maximum number of tokens allowed", "context_too_long"),
    (400, None, "ContextWindowExceededError: Input is too long for requested model.", "context_too_long"),
    (
        429,
        "rate_limit_exceeded",
        "Rate limit reached for gpt-5 on tokens per min (TPM). Try again in 2s.",
        "model_rate_limit",
    ),
    (429, None, "You exceeded your current quota of requests per minute.", "model_rate_limit"),
    (401, None, "Incorrect API key provided", "model_auth"),
    (400, None, "API key not valid. Please pass a valid API key.", "model_auth"),
    (403, None, "Country not supported", "model_forbidden"),
    (404, "model_not_found", "The model `x` does not exist", "model_not_found"),
    (404, None, 'model "x" not found, try pulling it first', "model_not_found"),
    (400, None, "x is not a valid model ID", "model_not_found"),
    (404, None, "Not Found", "model_not_found"),
    (404, None, "No endpoints found that support tool use.", "model_tools"),
    (400, None, "registry.ollama.ai/library/gemma:2b does not support tools", "model_tools"),
    (400, None, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser', "model_tools"),
    (404, None, "No endpoints found that support image input", "model_files"),
    (500, None, "image input is not supported - hint: you may need to provide the mmproj", "model_files"),
    (529, "overloaded_error", "Overloaded", "model_overloaded"),
    (503, "unavailable_error", "Loading model", "model_overloaded"),
    (422, None, "Unprocessable", "model_bad_request"),
    (400, "data_inspection_failed", "Input data may contain inappropriate content.", "content_filter"),
    (500, None, "Internal error", "model_unavailable"),
    (502, None, "Bad gateway", "model_unavailable"),
    (504, None, "upstream timed out", "model_timeout"),
]


def status_error(status: int, code: Any, message: str, **headers: str) -> openai.APIStatusError:
    """Return the error that the openai client makes of a response."""
    request = httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")
    body = {"error": {"message": message, "code": code}}
    response = httpx2.Response(status, request=request, json=body, headers=headers)
    return openai.OpenAI(api_key="k", base_url="http://127.0.0.1")._make_status_error_from_response(response)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"<!doctype html><html><body>Our model plane does not exist here</body></html>", "model_endpoint"),
        (b"404 page not found", "model_endpoint"),
        (b"", "model_endpoint"),
        (b'{"detail": "Not Found"}', "model_endpoint"),
        (b"model x not found", "model_not_found"),
        (b'{"detail": "The model x does not exist"}', "model_not_found"),
    ],
)
async def test_a_path_that_does_not_exist_is_not_a_model_that_does_not(body: bytes, expected: str) -> None:
    async with RawEndpoint(lambda _: http(body, "text/html", 404)) as endpoint:
        client = openai.AsyncOpenAI(api_key="k", base_url=endpoint.base_url, max_retries=0)
        with pytest.raises(openai.NotFoundError) as error:
            await client.chat.completions.create(model="x", messages=[])
        await client.close()
    assert to_turn_failure(error.value).code == expected


@pytest.mark.parametrize(("status", "code", "message", "expected"), ERRORS)
def test_every_error_has_its_text_and_retry_only_where_it_helps(
    status: int, code: Any, message: str, expected: str
) -> None:
    failure = to_turn_failure(status_error(status, code, message))
    assert (failure.code, failure.message, failure.allow_retry) == (expected, *TEXTS[expected])


def test_an_error_within_a_stream_is_judged_by_its_message_too() -> None:
    assert to_turn_failure(ProviderFailure(None, "prompt is too long")).code == "context_too_long"
    assert to_turn_failure(ProviderFailure("429", "slow down")).code == "model_rate_limit"


@pytest.mark.parametrize(
    ("headers", "message", "wait"),
    [
        ({"retry-after": "30"}, "", "30 seconds"),
        ({"retry-after": "600"}, "", "10 minutes"),
        ({"retry-after-ms": "12000"}, "", "12 seconds"),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m15.5s"}, "", "76 seconds"),
        ({}, "Please try again in 7m12s.", "8 minutes"),
        ({}, "Please retry in 37.5s.", "38 seconds"),
        ({}, "Please retry after 20 seconds.", "20 seconds"),
    ],
)
def test_a_rate_limit_says_how_long_to_wait(headers: dict[str, str], message: str, wait: str) -> None:
    failure = to_turn_failure(status_error(429, None, message, **headers))
    assert failure.message == f"The model is getting too many requests. Please retry in {wait}."


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": "2"},
        {"retry-after": "Sat, 28 Nov 2099 00:00:00 GMT"},
        {"retry-after": "soon"},
        {"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "30s"},
        {},
    ],
)
def test_a_moment_an_age_and_an_unknown_wait_are_not_named(headers: dict[str, str]) -> None:
    failure = to_turn_failure(status_error(429, None, "", **headers))
    assert failure.message == TEXTS["model_rate_limit"][0]


def test_a_reset_may_be_a_time() -> None:
    assert retry_after({"x-ratelimit-reset": "4102444800000"}) == pytest.approx(
        retry_after({"x-ratelimit-reset": "4102444800"}), abs=5
    )
