"""The agent that answers: loading it, preparing it for a run, and the default one."""
