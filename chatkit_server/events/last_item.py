"""The event of a turn's last item."""

from chatkit.types import ThreadItem, ThreadItemDoneEvent  # noqa: F401  the first is part of the model
from pydantic import ConfigDict


class LastItemDoneEvent(ThreadItemDoneEvent):
    """An item is done, and nothing of its turn follows: it can be saved in the transaction that ends the turn.

    Clients get a `ThreadItemDoneEvent`.
    """

    model_config = ConfigDict(defer_build=True)
