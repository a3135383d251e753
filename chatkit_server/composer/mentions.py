"""@-mentions: what a user can mention, and what the model reads of it."""

import json
import logging
from collections.abc import Sequence

from chatkit.types import UserMessageTagContent
from chatkit.widgets import WidgetRoot
from pydantic import Field

from ..context import RequestContext
from ..errors.log_format import redacted_traceback
from .offers import Offer

logger = logging.getLogger(__name__)

MAX_QUERY = 200
"""Characters of a search; nobody types more behind an @."""
MAX_FOUND = 50
"""How much of what was found is sent: the widget's menu shows a handful."""


class Entity(Offer):
    """A person, a document or anything else that can be mentioned, as the widget knows it."""

    id: str = Field(min_length=1)
    title: str
    icon: str | None = None
    interactive: bool | None = None
    """Whether it can be clicked and previewed."""
    group: str | None = None
    data: dict[str, str] | None = None
    """Comes back with the message that mentions it, from the page: do not trust it."""


class FoundEntities(Offer):
    """`GET /api/entities`."""

    entities: Sequence[Entity]


class EntityPreview(Offer):
    """`POST /api/entities/preview`."""

    preview: WidgetRoot | None


class Mentions:
    """What `ChatServer` asks about mentions; a subclass of it says what there is. Here, nothing."""

    async def search_entities(self, query: str, context: RequestContext) -> Sequence[Entity]:
        """What this user can mention that fits the beginning of a word; for an empty query, what is likely."""
        return ()

    async def preview_entity(self, entity: Entity, context: RequestContext) -> WidgetRoot | None:
        """A widget about something interactive; None for no preview."""
        return None

    async def describe_mention(self, mention: UserMessageTagContent, context: RequestContext) -> str:
        """What the model reads of a mention. Look `mention.id` up among what this user may see: anybody can post any
        id with any text and data. Without an answer of yours it is what the page knows, as plain text."""
        return plain_mention(mention)

    async def tell_mention(self, mention: UserMessageTagContent, context: RequestContext) -> str:
        """As `describe_mention`; what that raises must not make the thread unanswerable (T22)."""
        try:
            return await self.describe_mention(mention, context)
        except Exception as error:  # whatever the subclass raises
            logger.warning("request %s: a mention was not found\n%s", context.request_id, redacted_traceback(error))
            return plain_mention(mention)

    @property
    def offers_mentions(self) -> bool:
        """Whether there is anything to be found."""
        return type(self).search_entities is not Mentions.search_entities

    @property
    def offers_previews(self) -> bool:
        """Whether anything found can be shown."""
        return type(self).preview_entity is not Mentions.preview_entity


def plain_mention(mention: UserMessageTagContent) -> str:
    """What the page knows of it."""
    return json.dumps({"mention": mention.text, "id": mention.id, "data": mention.data}, ensure_ascii=False)
