"""An author's `RunConfig` keeps what it sets, and gets the server's model, limits and guardrails beside it."""

from collections.abc import Iterator
from typing import Any

import pytest
from agents import (
    GuardrailFunctionOutput,
    ModelSettings,
    MultiProvider,
    OpenAIProvider,
    RunConfig,
    input_guardrail,
    output_guardrail,
    set_default_openai_client,
)
from agents.models import _openai_shared
from openai import AsyncOpenAI

from chatkit_server.run.author_run import merged_config


@input_guardrail
async def house_rules(context: Any, agent: Any, input: Any) -> GuardrailFunctionOutput:
    return GuardrailFunctionOutput(None, tripwire_triggered=False)


@input_guardrail
async def own_rules(context: Any, agent: Any, input: Any) -> GuardrailFunctionOutput:
    return GuardrailFunctionOutput(None, tripwire_triggered=False)


@output_guardrail
async def house_style(context: Any, agent: Any, output: Any) -> GuardrailFunctionOutput:
    return GuardrailFunctionOutput(None, tripwire_triggered=False)


SERVERS = RunConfig(
    model="house-model",
    model_provider=OpenAIProvider(api_key="house"),
    model_settings=ModelSettings(temperature=0.1, max_tokens=5),
    tracing_disabled=True,
    input_guardrails=[house_rules],
    output_guardrails=[house_style],
)


def test_an_exports_config_gets_the_servers_model_and_guardrails() -> None:
    own = RunConfig(trace_metadata={"workflow_id": "wf_1"}, input_guardrails=[own_rules])
    merged = merged_config(own, SERVERS)
    assert merged.trace_metadata == {"workflow_id": "wf_1"}
    assert merged.model_provider is SERVERS.model_provider
    assert merged.model == "house-model"
    assert merged.tracing_disabled
    assert merged.input_guardrails == [house_rules, own_rules]
    assert merged.output_guardrails == [house_style]
    assert own.input_guardrails == [own_rules]
    again = merged_config(merged, SERVERS)
    assert again.input_guardrails == [house_rules, own_rules], "an agent that is a tool gets its parent's config"


def test_what_the_author_sets_stays() -> None:
    provider = OpenAIProvider(api_key="own")
    merged = merged_config(
        {"model": "own-model", "model_provider": provider, "model_settings": ModelSettings(temperature=1)}, SERVERS
    )
    assert (merged.model, merged.model_provider) == ("own-model", provider)
    assert merged.model_settings == ModelSettings(temperature=1, max_tokens=5)
    assert merged_config(RunConfig(model_provider=MultiProvider(openai_api_key="own")), SERVERS) != SERVERS
    assert merged_config(None, SERVERS) is SERVERS
    assert merged_config(SERVERS, SERVERS) is SERVERS


@pytest.fixture
def own_client() -> Iterator[AsyncOpenAI]:
    """A client that the author has made the default of the Agents SDK."""
    client = AsyncOpenAI(api_key="own", base_url="http://127.0.0.1:9")
    set_default_openai_client(client, use_for_tracing=False)
    yield client
    _openai_shared._default_openai_client = None


def test_a_default_client_of_the_author_is_used(own_client: AsyncOpenAI) -> None:
    for own in (None, RunConfig()):
        merged = merged_config(own, SERVERS)
        assert merged.model_provider is not SERVERS.model_provider
        assert merged.input_guardrails == [house_rules]
