"""Run an agent: from a thread to the ChatKit events of its answer."""
