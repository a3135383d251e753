"""@-mentions: what a user can mention, and what the model reads of it."""

import json
import logging
from collections.abc import Sequence

from chatkit.types import UserMessageTagContent
from chatkit.widgets import WidgetRoot
from pydantic import Field

from ..context import RequestContext
from ..errors.log_format import redacted_traceback
from .offers import WidgetShape

logger = logging.getLogger(__name__)

MAX_QUERY = 200
"""Longest search in characters; nobody types more after an @."""
MAX_ENTITIES = 50
"""Most results of a search that are sent; the widget's menu shows only a few."""


class Entity(WidgetShape):
    """A person, a document or anything else that can be mentioned, in the widget's shape."""

    id: str = Field(min_length=1)
    title: str
    icon: str | None = None
    interactive: bool | None = None
    """Whether it can be clicked and previewed."""
    group: str | None = None
    data: dict[str, str] | None = None
    """Comes back from the page with the message that mentions the entity: do not trust it."""


class Entities(WidgetShape):
    """`GET /api/entities`."""

    entities: Sequence[Entity]


class EntityPreview(WidgetShape):
    """`POST /api/entities/preview`."""

    preview: WidgetRoot | None


class Mentions:
    """The mention methods of `ChatServer`. A subclass overrides them; by default there is nothing to mention."""

    async def search_entities(self, query: str, context: RequestContext) -> Sequence[Entity]:
        """Return what this user can mention and `query` is the beginning of; for an empty query, likely ones."""
        return ()

    async def preview_entity(self, entity: Entity, context: RequestContext) -> WidgetRoot | None:
        """Return a widget about an interactive entity, or None for no preview."""
        return None

    async def describe_mention(self, mention: UserMessageTagContent, context: RequestContext) -> str:
        """Return what the model reads of a mention; by default what the page sent, as plain text.

        Look `mention.id` up among what this user may see: a client can post any id with any text and data.
        """
        return plain_mention(mention)

    async def mention_text(self, mention: UserMessageTagContent, context: RequestContext) -> str:
        """Return `describe_mention`, or the plain text if that raises: one bad mention must not make its thread
        unanswerable."""
        try:
            return await self.describe_mention(mention, context)
        except Exception as error:  # whatever the subclass raises
            logger.warning("cannot describe a mention\n%s", redacted_traceback(error))
            return plain_mention(mention)

    @property
    def offers_mentions(self) -> bool:
        """Whether the subclass has a search."""
        return type(self).search_entities is not Mentions.search_entities

    @property
    def offers_previews(self) -> bool:
        """Whether the subclass has previews."""
        return type(self).preview_entity is not Mentions.preview_entity


def plain_mention(mention: UserMessageTagContent) -> str:
    """Return what the page sent of a mention, as JSON."""
    return json.dumps({"mention": mention.text, "id": mention.id, "data": mention.data}, ensure_ascii=False)
