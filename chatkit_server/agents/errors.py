"""What can be wrong with CHATKIT_AGENT."""


class AgentSetupError(Exception):
    """CHATKIT_AGENT does not lead to an agent; the text is one sentence that says what is wrong."""
