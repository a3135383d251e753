"""Times as chatkit's samples expect them: naive and local, as `datetime.now()` makes them.

Their code subtracts and compares the times of stored items with `datetime.now()`, which fails for aware ones. On the
way back, naive times are read as local (T17).
"""

from datetime import UTC, datetime
from typing import TypeVar

from chatkit.types import Page
from pydantic import BaseModel

Model = TypeVar("Model", bound=BaseModel)


def naive(moment: datetime) -> datetime:
    """Return the moment as a naive local time."""
    return moment.astimezone().replace(tzinfo=None)


def with_naive_times(model: Model) -> Model:
    """Change the time of a thread or an item in place, and return it."""
    if isinstance(created_at := getattr(model, "created_at", None), datetime):
        model.created_at = naive(created_at)  # type: ignore[attr-defined]  # every thread and item has one
    return model


def with_aware_times(model: Model) -> Model:
    """Return a copy of a thread or an item with its time in UTC."""
    created_at = getattr(model, "created_at", None)
    return model.model_copy(update={"created_at": created_at.astimezone(UTC)}) if created_at is not None else model


def naive_page(page: Page[Model]) -> Page[Model]:
    """Change the times of a page's threads or items in place, and return it."""
    for model in page.data:
        with_naive_times(model)
    return page
