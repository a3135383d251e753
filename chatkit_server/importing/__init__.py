"""Bring the threads of OpenAI's hosted ChatKit backend here: from its API, or from a folder that was saved before."""
