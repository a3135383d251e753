from types import SimpleNamespace

from agents import (
    Agent,
    ModelSettings,
    RunConfig,
    RunContextWrapper,
    Runner,
    TResponseInputItem,
    trace,
)
from guardrails.runtime import instantiate_guardrails, load_config_bundle, run_guardrails
from openai import AsyncOpenAI
from openai.types.shared.reasoning import Reasoning
from pydantic import BaseModel

# Shared client for guardrails and file search
client = AsyncOpenAI()
ctx = SimpleNamespace(guardrail_llm=client)
# Guardrails definitions
input_safety_check_config = {
    "guardrails": [{"name": "Contains PII", "config": {"block": False, "entities": ["EMAIL_ADDRESS"]}}]
}
# Guardrails utils


def guardrails_has_tripwire(results):
    return any(getattr(r, "tripwire_triggered", False) is True for r in (results or []))


def get_guardrail_checked_text(results, fallback_text):
    for r in results or []:
        info = getattr(r, "info", None) or {}
        if isinstance(info, dict) and ("checked_text" in info):
            return info.get("checked_text") or fallback_text
    return fallback_text


def build_guardrail_fail_output(results):
    failures = []
    for r in results or []:
        if getattr(r, "tripwire_triggered", False):
            info = getattr(r, "info", None) or {}
            failure = {
                "guardrail_name": info.get("guardrail_name"),
            }
            for key in ("flagged", "confidence", "threshold"):
                if key in (info or {}):
                    failure[key] = info.get(key)
            failures.append(failure)
    return {"failed": len(failures) > 0, "failures": failures}


class ClassifierAgentSchema(BaseModel):
    interest_area: str


class SmalltalkAgentSchema(BaseModel):
    reply: str
    confidence: float


classifier_agent = Agent(
    name="Classifier Agent",
    instructions="Classify.",
    model="gpt-4.1-mini",
    output_type=ClassifierAgentSchema,
    model_settings=ModelSettings(temperature=1, top_p=1, max_tokens=2048, store=True),
)


class ProductAgentContext:
    def __init__(self, state_interest_area: str, workflow_input_as_text: str) -> None:
        self.state_interest_area = state_interest_area
        self.workflow_input_as_text = workflow_input_as_text


def product_agent_instructions(run_context: RunContextWrapper[ProductAgentContext], _agent: Agent[ProductAgentContext]):
    state_interest_area = run_context.context.state_interest_area
    workflow_input_as_text = run_context.context.workflow_input_as_text
    return f"""Sell. {state_interest_area} {workflow_input_as_text}"""


product_agent = Agent(
    name="Product Agent",
    instructions=product_agent_instructions,
    model="gpt-5",
    model_settings=ModelSettings(store=True, reasoning=Reasoning(effort="low", summary="auto")),
)


smalltalk_agent = Agent(
    name="Smalltalk Agent",
    instructions="Talk.",
    model="gpt-4.1-mini",
    output_type=SmalltalkAgentSchema,
)


class WorkflowInput(BaseModel):
    input_as_text: str


# Main code entrypoint
async def run_workflow(workflow_input: WorkflowInput):
    with trace("Sales"):
        state = {"interest_area": None, "lead_name": None}
        workflow = workflow_input.model_dump()
        conversation_history: list[TResponseInputItem] = [
            {"role": "user", "content": [{"type": "input_text", "text": workflow["input_as_text"]}]}
        ]
        try:
            guardrails_inputtext = workflow["input_as_text"]
            guardrails_result = await run_guardrails(
                ctx,
                guardrails_inputtext,
                "text/plain",
                instantiate_guardrails(load_config_bundle(input_safety_check_config)),
                suppress_tripwire=True,
            )
            guardrails_hastripwire = guardrails_has_tripwire(guardrails_result)
            guardrails_anonymizedtext = get_guardrail_checked_text(guardrails_result, guardrails_inputtext)
            guardrails_output = (guardrails_hastripwire and build_guardrail_fail_output(guardrails_result or [])) or (
                guardrails_anonymizedtext or guardrails_inputtext
            )
            if guardrails_hastripwire:
                end_result = {"failed": False, "reason": ""}
                return end_result
            else:
                classifier_agent_result_temp = await Runner.run(
                    classifier_agent,
                    input=[
                        *conversation_history,
                        {"role": "user", "content": [{"type": "input_text", "text": f" {workflow['input_as_text']}"}]},
                    ],
                    run_config=RunConfig(
                        trace_metadata={
                            "__trace_source__": "agent-builder",
                            "workflow_id": "wf_69b8c13a234881909abd2d50b10f67eb0ffa529b07a529aa",
                        }
                    ),
                )

                conversation_history.extend([item.to_input_item() for item in classifier_agent_result_temp.new_items])

                classifier_agent_result = {
                    "output_text": classifier_agent_result_temp.final_output.json(),
                    "output_parsed": classifier_agent_result_temp.final_output.model_dump(),
                }
                state["interest_area"] = classifier_agent_result["output_parsed"]["interest_area"]
                if state["interest_area"] == "product":
                    product_agent_result_temp = await Runner.run(
                        product_agent,
                        input=[*conversation_history],
                        run_config=RunConfig(
                            trace_metadata={
                                "__trace_source__": "agent-builder",
                                "workflow_id": "wf_69b8c13a234881909abd2d50b10f67eb0ffa529b07a529aa",
                            }
                        ),
                        context=ProductAgentContext(
                            state_interest_area=state["interest_area"], workflow_input_as_text=workflow["input_as_text"]
                        ),
                    )

                    conversation_history.extend([item.to_input_item() for item in product_agent_result_temp.new_items])

                    product_agent_result = {"output_text": product_agent_result_temp.final_output_as(str)}
                    end_result = {
                        "is_consulting_completed": False,
                        "interest_category": "",
                        "followup_message": product_agent_result["output_text"],
                    }
                    return end_result
                elif state["interest_area"] == "crash":
                    raise KeyError("boom")
                elif state["interest_area"] == "echo":
                    return guardrails_output
                else:
                    smalltalk_agent_result_temp = await Runner.run(
                        smalltalk_agent,
                        input=[*conversation_history],
                        run_config=RunConfig(
                            trace_metadata={
                                "__trace_source__": "agent-builder",
                                "workflow_id": "wf_69b8c13a234881909abd2d50b10f67eb0ffa529b07a529aa",
                            }
                        ),
                    )

                    conversation_history.extend(
                        [item.to_input_item() for item in smalltalk_agent_result_temp.new_items]
                    )

                    smalltalk_agent_result = {
                        "output_text": smalltalk_agent_result_temp.final_output.json(),
                        "output_parsed": smalltalk_agent_result_temp.final_output.model_dump(),
                    }
                    end_result = {
                        "is_consulting_completed": False,
                        "interest_category": "",
                        "followup_message": smalltalk_agent_result["output_text"],
                    }
                    return end_result
        except Exception as guardrails_error:
            guardrails_errorresult = {
                "message": getattr(guardrails_error, "message", "Unknown error"),
            }
            return guardrails_errorresult
