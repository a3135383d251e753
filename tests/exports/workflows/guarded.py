from types import SimpleNamespace

from agents import Agent, RunConfig, Runner, TResponseInputItem, trace
from guardrails.runtime import instantiate_guardrails, load_config_bundle, run_guardrails
from openai import AsyncOpenAI
from pydantic import BaseModel

# Shared client for guardrails and file search
client = AsyncOpenAI()
ctx = SimpleNamespace(guardrail_llm=client)
# Guardrails definitions
guardrails_config = {
    "guardrails": [
        {"name": "Contains PII", "config": {"block": False, "entities": ["EMAIL_ADDRESS"]}},
        {"name": "Moderation", "config": {"categories": ["violence"]}},
    ]
}


# Guardrails utils
def guardrails_has_tripwire(results):
    return any((hasattr(r, "tripwire_triggered") and (r.tripwire_triggered is True)) for r in (results or []))


def get_guardrail_safe_text(results, fallback_text):
    for r in results or []:
        info = (r.info if hasattr(r, "info") else None) or {}
        if isinstance(info, dict) and ("checked_text" in info):
            return info.get("checked_text") or fallback_text
    return fallback_text


def only_pii(config):
    return {"guardrails": [g for g in config["guardrails"] if g["name"] == "Contains PII"]}


async def scrub_conversation_history(history, config):
    for msg in history or []:
        content = (msg or {}).get("content") or []
        for part in content:
            if isinstance(part, dict) and part.get("type") == "input_text":
                results = await run_guardrails(
                    ctx, part["text"], "text/plain", instantiate_guardrails(load_config_bundle(only_pii(config)))
                )
                part["text"] = get_guardrail_safe_text(results, part["text"])


async def scrub_workflow_input(workflow, input_key, config):
    value = workflow.get(input_key)
    if isinstance(value, str):
        results = await run_guardrails(
            ctx, value, "text/plain", instantiate_guardrails(load_config_bundle(only_pii(config)))
        )
        workflow[input_key] = get_guardrail_safe_text(results, value)


async def run_and_apply_guardrails(input_text, config, history, workflow):
    results = await run_guardrails(
        ctx,
        input_text,
        "text/plain",
        instantiate_guardrails(load_config_bundle(config)),
        suppress_tripwire=True,
        raise_guardrail_errors=True,
    )
    await scrub_conversation_history(history, config)
    await scrub_workflow_input(workflow, "input_as_text", config)
    has_tripwire = guardrails_has_tripwire(results)
    safe_text = get_guardrail_safe_text(results, input_text)
    fail_output = build_guardrail_fail_output(results or [])
    pass_output = {"safe_text": safe_text}
    return {
        "results": results,
        "has_tripwire": has_tripwire,
        "safe_text": safe_text,
        "fail_output": fail_output,
        "pass_output": pass_output,
    }


def build_guardrail_fail_output(results):
    def _get(name: str):
        for r in results or []:
            info = (r.info if hasattr(r, "info") else None) or {}
            gname = info.get("guardrail_name") if isinstance(info, dict) else None
            if gname == name:
                return r
        return None

    pii, mod, jb = map(_get, ["Contains PII", "Moderation", "Jailbreak"])

    def _tripwire(r):
        return bool(r.tripwire_triggered)

    def _info(r):
        return r.info

    jb_info, mod_info, pii_info = map(_info, [jb, mod, pii])
    detected_entities = pii_info.get("detected_entities") if isinstance(pii_info, dict) else {}
    pii_counts = [f"{k}:{len(v)}" for k, v in detected_entities.items() if isinstance(v, list)]
    flagged_categories = mod_info.get("flagged_categories") if isinstance(mod_info, dict) else None
    return {
        "pii": {"failed": _tripwire(pii), "detected_counts": pii_counts},
        "moderation": {"failed": _tripwire(mod), "flagged_categories": flagged_categories},
        "jailbreak": {"failed": _tripwire(jb)},
    }


agent = Agent(name="Helper", instructions="Help.", model="gpt-5")


class WorkflowInput(BaseModel):
    input_as_text: str


# Main code entrypoint
async def run_workflow(workflow_input: WorkflowInput):
    with trace("Guarded"):
        workflow = workflow_input.model_dump()
        conversation_history: list[TResponseInputItem] = [
            {"role": "user", "content": [{"type": "input_text", "text": workflow["input_as_text"]}]}
        ]
        guardrails_input_text = workflow["input_as_text"]
        guardrails_result = await run_and_apply_guardrails(
            guardrails_input_text, guardrails_config, conversation_history, workflow
        )
        guardrails_hastripwire = guardrails_result["has_tripwire"]
        guardrails_output = (guardrails_hastripwire and guardrails_result["fail_output"]) or guardrails_result[
            "pass_output"
        ]
        if guardrails_hastripwire:
            return guardrails_output
        else:
            agent_result_temp = await Runner.run(
                agent,
                input=[*conversation_history],
                run_config=RunConfig(trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_6"}),
            )
            conversation_history.extend([item.to_input_item() for item in agent_result_temp.new_items])
            agent_result = {"output_text": agent_result_temp.final_output_as(str)}
            return agent_result
