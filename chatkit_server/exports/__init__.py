"""Run a workflow that OpenAI's Agent Builder exported, unchanged.

`workflow_turn.WorkflowTurn` calls the function in a task and streams each `Runner.run` in it: `agents/turn_runner.py`
hands it over. `run_input` puts the thread before what the function gives to its agents, `steps` shows the agents
whose answer only the workflow reads, and `ending` shows what the function returns, as far as that is news (`news`).
"""
