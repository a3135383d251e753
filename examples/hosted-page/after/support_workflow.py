from agents import function_tool, Agent, ModelSettings, TResponseInputItem, Runner, RunConfig, trace
from pydantic import BaseModel

# Tool definitions
@function_tool
def order_status(number: str):
  """Return the state of an order, by its number."""
  return {"number": number, "state": "shipped yesterday"}

class ClassifySchema(BaseModel):
  category: str


classify = Agent(
  name="Classify",
  instructions="""Choose exactly one category for the user's message:
- orders
- returns
- other
Answer with the name of the category only.""",
  model="gpt-4.1-mini",
  output_type=ClassifySchema,
  model_settings=ModelSettings(
    temperature=0
  )
)


orders = Agent(
  name="Orders",
  instructions="Tell the user where their order is. Ask for its number if they have not said it.",
  model="gpt-4.1",
  tools=[
    order_status
  ],
  model_settings=ModelSettings(
    store=True
  )
)


returns = Agent(
  name="Returns",
  instructions="Explain how to send something back: within 30 days, with the label that came with it.",
  model="gpt-4.1",
  model_settings=ModelSettings(
    store=True
  )
)


support = Agent(
  name="Support",
  instructions="Help the customers of Acme, in two or three sentences.",
  model="gpt-4.1",
  model_settings=ModelSettings(
    store=True
  )
)


class WorkflowInput(BaseModel):
  input_as_text: str


# Main code entrypoint
async def run_workflow(workflow_input: WorkflowInput):
  with trace("Acme support"):
    workflow = workflow_input.model_dump()
    conversation_history: list[TResponseInputItem] = [
      {
        "role": "user",
        "content": [
          {
            "type": "input_text",
            "text": workflow["input_as_text"]
          }
        ]
      }
    ]
    classify_result_temp = await Runner.run(
      classify,
      input=[
        *conversation_history
      ],
      run_config=RunConfig(trace_metadata={
        "__trace_source__": "agent-builder",
        "workflow_id": "wf_acme_support"
      })
    )
    classify_result = {
      "output_text": classify_result_temp.final_output.json(),
      "output_parsed": classify_result_temp.final_output.model_dump()
    }
    classify_category = classify_result["output_parsed"]["category"]
    if classify_category == "orders":
      orders_result_temp = await Runner.run(
        orders,
        input=[
          *conversation_history
        ],
        run_config=RunConfig(trace_metadata={
          "__trace_source__": "agent-builder",
          "workflow_id": "wf_acme_support"
        })
      )

      conversation_history.extend([item.to_input_item() for item in orders_result_temp.new_items])

      orders_result = {
        "output_text": orders_result_temp.final_output_as(str)
      }
      return orders_result
    elif classify_category == "returns":
      returns_result_temp = await Runner.run(
        returns,
        input=[
          *conversation_history
        ],
        run_config=RunConfig(trace_metadata={
          "__trace_source__": "agent-builder",
          "workflow_id": "wf_acme_support"
        })
      )

      conversation_history.extend([item.to_input_item() for item in returns_result_temp.new_items])

      returns_result = {
        "output_text": returns_result_temp.final_output_as(str)
      }
      return returns_result
    else:
      support_result_temp = await Runner.run(
        support,
        input=[
          *conversation_history
        ],
        run_config=RunConfig(trace_metadata={
          "__trace_source__": "agent-builder",
          "workflow_id": "wf_acme_support"
        })
      )

      conversation_history.extend([item.to_input_item() for item in support_result_temp.new_items])

      support_result = {
        "output_text": support_result_temp.final_output_as(str)
      }
      return support_result
