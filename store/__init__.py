"""A store for ChatKit in SQLite or PostgreSQL: threads, items, turns, attachments, feedback. Needs no server."""

from store.approvals import Approval, ApprovalStore, Choice, Decision, NewApproval, PausedRun
from store.blobs import Blob, BlobMissing, Blobs, BlobsUnavailable, S3Access
from store.engine import open_engine
from store.errors import AlreadyDecided, IdClash, NotFound, SchemaOutdated, SchemaUnknown, StoreError, StoreUnavailable
from store.history import HistoryItem, HistoryPage, PastTurn
from store.ids import new_id
from store.schema import create_schema
from store.sql import SqlStore
from store.turns import NewTurn, TurnRecord, TurnStatus, TurnStore
from store.uploads import Upload, UploadStore

__all__ = [
    "AlreadyDecided",
    "Approval",
    "ApprovalStore",
    "Blob",
    "BlobMissing",
    "Blobs",
    "BlobsUnavailable",
    "Choice",
    "Decision",
    "HistoryItem",
    "HistoryPage",
    "IdClash",
    "NewApproval",
    "NewTurn",
    "NotFound",
    "PastTurn",
    "PausedRun",
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
