"""A store for ChatKit in SQLite or PostgreSQL: threads, items, turns, attachments, feedback. Needs no server."""

from store.blobs import Blob, BlobMissing, Blobs, BlobsUnavailable, S3Access
from store.engine import open_engine
from store.errors import IdClash, NotFound, SchemaOutdated, SchemaUnknown, StoreError, StoreUnavailable
from store.history import HistoryItem, HistoryPage, PastTurn
from store.ids import new_id
from store.schema import create_schema
from store.sql import SqlStore
from store.turns import NewTurn, TurnRecord, TurnStatus, TurnStore
from store.uploads import Upload, UploadStore

__all__ = [
    "Blob",
    "BlobMissing",
    "Blobs",
    "BlobsUnavailable",
    "HistoryItem",
    "HistoryPage",
    "IdClash",
    "NewTurn",
    "NotFound",
    "PastTurn",
    "S3Access",
    "SchemaOutdated",
    "SchemaUnknown",
    "SqlStore",
    "StoreError",
    "StoreUnavailable",
    "TurnRecord",
    "TurnStatus",
    "TurnStore",
    "Upload",
    "UploadStore",
    "create_schema",
    "new_id",
    "open_engine",
]
