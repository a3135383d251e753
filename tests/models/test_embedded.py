"""The real embedded model: its process, answers and limits. Fetches the weights if needed."""

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import psutil  # type: ignore[import-untyped]  # it ships no types, and we do not install its stubs
import pytest
import pytest_asyncio
from agents import Agent, Runner
from agents.items import TResponseInputItem

from chatkit_server import Settings
from chatkit_server.agents.default import default_agent
from chatkit_server.errors.failures import EmbeddedModelError
from chatkit_server.models import Models, open_models
from chatkit_server.models.embedded import EmbeddedModel, EmbeddedProvider
from chatkit_server.models.embedded.process import Child, EmbeddedProcess
from chatkit_server.models.weights import ensure_weights
from tests.models.running import Run, run, run_config

pytest.importorskip("xllamacpp", reason="the `embedded` extra is not installed")
pytestmark = [pytest.mark.embedded, pytest.mark.asyncio(loop_scope="module")]

ROOT = Path(__file__).resolve().parents[2]
CANCEL_SECONDS = 3
"""Of the child's processor, since a busy machine takes longer. Measured: 0.05 once two answers are cancelled, 1.2 once
two prompts are; without it, 4 and 7."""
STORY = "Write a very long story about a fox."


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_weights(tmp_path_factory.mktemp("data"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def models(weights: Path) -> AsyncIterator[Models]:
    async with open_models(Settings(model="embedded", embedded_model_path=weights)) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small(weights: Path) -> AsyncIterator[Models]:
    """A model with a small context: processing a full one of the default size takes 10 s on one core."""
    async with open_models(Settings(model="embedded", embedded_model_path=weights, embedded_context=512)) as opened:
        yield opened


async def running(models: Models) -> Child:
    """Return the running child of `models`."""
    assert isinstance(models.provider, EmbeddedProvider)
    model = models.provider.get_model(None)
    assert isinstance(model, EmbeddedModel)
    return await model._process.child()


async def processor_seconds(models: Models) -> float:
    """Return how much of the processor the child has used."""
    times = psutil.Process((await running(models)).process.pid).cpu_times()
    return float(times.user + times.system)


async def started(models: Models, into: Run) -> asyncio.Task[Run]:
    """Start a long answer and wait for its first text. Raises `TimeoutError` if none arrives."""
    task = asyncio.create_task(run(models, STORY, into=into))
    async with asyncio.timeout(180):
        await into.speaking.wait()
    return task


async def cancel(*tasks: asyncio.Task[Run]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_it_answers_token_by_token(models: Models) -> None:
    result = await run(models, "What is the capital of France?", default_agent(tools=False))
    assert "Paris" in result.output
    assert result.text == result.output
    assert sum(event.type == "response.output_text.delta" for event in result.events) >= 5
    assert result.tokens > 10


async def test_an_agent_with_tools_can_chat(models: Models) -> None:
    assert (await run(models, "Say hello.", default_agent())).output


async def test_it_answers_without_streaming(models: Models) -> None:
    result = await Runner.run(default_agent(tools=False), "Say hello.", run_config=run_config(models))
    assert result.final_output


async def test_it_reads_the_history(models: Models) -> None:
    """Checks how much of the conversation the model reads, because its answers are often wrong."""
    history: list[TResponseInputItem] = [
        {"role": "user", "content": "My name is Bob."},
        {
            "type": "message",
            "role": "assistant",
            "id": "msg_1",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hello Bob!", "annotations": []}],
        },
        {"role": "user", "content": "What is my name?"},
    ]
    short = await run(models, history[-1:])
    full = await run(models, history)
    assert full.output
    assert full.input_tokens >= short.input_tokens + 10


async def test_a_history_longer_than_the_context_works(small: Models) -> None:
    turn: list[TResponseInputItem] = [
        {"role": "user", "content": "Tell me about the sea. " * 20},
        {"role": "assistant", "content": "The sea is blue. " * 20},
    ]
    result = await run(small, [*turn * 30, {"role": "user", "content": "Say hello."}])
    assert result.output
    assert result.tokens <= 512


async def test_a_message_longer_than_the_context_works(small: Models) -> None:
    assert (await run(small, "Räum auf! 🦊 " * 5000)).output


async def test_instructions_longer_than_the_context_work(small: Models) -> None:
    assert (await run(small, "Say hello.", Agent(name="Test", instructions="Be kind. " * 3000))).output


async def test_two_answers_stream_at_the_same_time(models: Models) -> None:
    first, second = await started(models, Run()), await started(models, Run())
    assert not first.done()
    await asyncio.gather(first, second)


async def test_a_cancelled_answer_frees_its_slot(models: Models) -> None:
    """Both slots are taken, so the third answer can begin only after the engine has stopped one of them."""
    tasks = [await started(models, Run()) for _ in range(2)]
    before = await processor_seconds(models)
    await cancel(*tasks)
    task = await started(models, Run())
    assert await processor_seconds(models) - before < CANCEL_SECONDS
    await cancel(task)


async def test_cancelling_while_the_prompt_is_processed_frees_the_slot(models: Models) -> None:
    """A cancel takes effect after the current batch."""
    tasks = [asyncio.create_task(run(models, f"{number} " + "Tell me about it. " * 350)) for number in range(2)]
    done, _ = await asyncio.wait(tasks, timeout=1)
    assert not done
    before = await processor_seconds(models)
    await cancel(*tasks)
    task = await started(models, Run())
    assert await processor_seconds(models) - before < CANCEL_SECONDS
    await cancel(task)


@pytest.mark.parametrize("path", ["/", "/slots", "/props", "/metrics", "/v1/models", "/tokenize", "/tools"])
async def test_requests_without_the_key_are_rejected(models: Models, path: str) -> None:
    child = await running(models)
    async with httpx2.AsyncClient(headers={"Origin": "http://elsewhere.example"}) as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            for method in ("GET", "POST"):
                response = await client.request(method, child.url + path, headers=headers, json={})
                assert response.status_code in {401, 404}
                assert response.headers.get("access-control-allow-origin", "") == ""


async def test_killing_the_child_fails_its_answer_clearly_and_the_next_message_works(models: Models) -> None:
    child = await running(models)
    partial = Run()
    answer = await started(models, partial)
    child.process.kill()
    with pytest.raises(EmbeddedModelError, match=r"ended \(code -9\) while it answered. It is restarted"):
        await answer
    assert partial.text
    assert (await run(models, "Say hello.")).output
    assert (await running(models)).process.pid != child.process.pid


async def test_a_child_that_died_between_messages_is_replaced_silently(models: Models) -> None:
    (await running(models)).process.kill()
    assert (await run(models, "Say hello.")).output


async def test_its_errors_are_those_of_the_openai_client(models: Models) -> None:
    child = await running(models)
    assert child.client
    with pytest.raises(openai.BadRequestError, match="exceeds the available context size"):
        await child.client.chat.completions.create(model="any", messages=[{"role": "user", "content": "word " * 5000}])


async def test_closing_ends_the_child(weights: Path) -> None:
    async with open_models(Settings(model="embedded", embedded_model_path=weights)) as models:
        pid = (await running(models)).process.pid
    assert not psutil.pid_exists(pid)


async def test_closing_while_it_loads_leaves_no_process(weights: Path) -> None:
    models = open_models(Settings(model="embedded", embedded_model_path=weights))
    before = {child.pid for child in psutil.Process().children()}
    await models.start()
    await asyncio.sleep(0)
    await models.aclose()
    assert {child.pid for child in psutil.Process().children()} <= before


async def test_a_file_that_is_not_a_model_gives_a_clear_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF but nothing else")
    async with open_models(Settings(model="embedded", embedded_model_path=broken)) as models:
        for _ in range(2):
            with pytest.raises(EmbeddedModelError, match="could not be loaded"):
                await run(models, "hi")


async def test_the_error_of_missing_weights_is_passed_on() -> None:
    def find() -> Path:
        raise EmbeddedModelError("No weights. Set CHATKIT_MODEL=demo.")

    process = EmbeddedProcess(find, name="x", context=512, timeout=1)
    with pytest.raises(EmbeddedModelError, match="Set CHATKIT_MODEL=demo"):
        await process.child()
    await process.aclose()


PARENT = """
import asyncio, sys
from chatkit_server import Settings
from chatkit_server.models import open_models

async def main():
    models = open_models(Settings(model="embedded", embedded_model_path=sys.argv[1]))
    await models.start()
    child = await models.provider.get_model(None)._process.child()
    print(child.process.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_the_child_exits_when_its_parent_is_killed(weights: Path, tmp_path: Path, how: int) -> None:
    script = tmp_path / "parent.py"
    script.write_text(textwrap.dedent(PARENT), encoding="utf-8")
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", str(script), str(weights)),
        stdout=asyncio.subprocess.PIPE,
        env=dict(os.environ) | {"PYTHONPATH": str(ROOT)},
    )
    assert parent.stdout
    try:
        async with asyncio.timeout(180):
            child = psutil.Process(int(await parent.stdout.readline()))
    finally:
        parent.send_signal(how)
        await parent.wait()
    await asyncio.to_thread(psutil.wait_procs, [child], timeout=30)
    assert not _is_running(child)


def _is_running(process: Any) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
