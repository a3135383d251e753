"""Setup errors, raised before the server starts. Their text says what to change.

Only `AgentSetupError` is also raised later: when an agent function returns no agent for a request.

SetupError           settings that cannot work
AgentSetupError      CHATKIT_AGENT does not lead to an agent
ModelSetupError      the settings name a model that cannot answer
└── WeightsError     the embedded model's file is missing, damaged or cannot be fetched
"""


class SetupError(Exception):
    """The server cannot start with these settings; the text says what to change."""


class AgentSetupError(Exception):
    """CHATKIT_AGENT does not lead to an agent; the text is one sentence that says what is wrong."""


class ModelSetupError(Exception):
    """The settings name a model that cannot answer; the text says what to change."""


class WeightsError(ModelSetupError):
    """The embedded model's file is missing, damaged or cannot be fetched; the text says what to do."""
