"""What can be wrong with a model before and while it answers.

ModelSetupError          the settings cannot work; raised at start
└── WeightsError         the embedded model's file is missing, damaged or cannot be fetched
openai.APIConnectionError
└── EmbeddedModelError   the embedded model's process cannot answer this request
"""

import httpx2
import openai


class ModelSetupError(Exception):
    """The settings name a model that cannot answer; the text says what to change."""


class WeightsError(ModelSetupError):
    """The embedded model's file is missing, damaged or cannot be fetched; the text says what to do."""


class EmbeddedModelError(openai.APIConnectionError):
    """The embedded model's process could not be started or went away; the text says why."""

    def __init__(self, message: str) -> None:
        # openai's class wants the request it failed on; there is none yet, so it gets the address it would have had.
        super().__init__(message=message, request=httpx2.Request("POST", "http://embedded.invalid/v1/chat/completions"))
