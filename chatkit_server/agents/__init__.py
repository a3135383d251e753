"""The agent that answers: where it comes from, and what the server changes in it before a run."""
