"""A store for ChatKit in SQLite or PostgreSQL: threads, items, turns, attachments, feedback. Needs no server."""

from store.approvals import Approval, ApprovalStore, Choice, Decision, NewApproval, PausedRun
from store.blobs import Blob, BlobMissing, Blobs, BlobsUnavailable, OpenBlob, S3Access
from store.engine import open_engine
from store.errors import (
    AlreadyDecided,
    DuplicateRequest,
    IdClash,
    NotFound,
    SchemaOutdated,
    SchemaUnknown,
    StoreError,
    StoreUnavailable,
    ThreadBusy,
    ThreadChanged,
)
from store.heartbeats import HeartbeatStore, WorkerRecord
from store.history import HistoryCursor, HistoryItem, HistoryPage, PastTurn
from store.ids import new_id
from store.items import Recent
from store.journal import Entry, JournalStore
from store.schema import create_schema
from store.sql import SqlStore
from store.sync_actions import SyncActionStatus, SyncActionStore, SyncAnswer, SyncRun
from store.turns import NewTurn, RequestKey, TurnRecord, TurnStatus, TurnStore
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
    "DuplicateRequest",
    "Entry",
    "HeartbeatStore",
    "HistoryCursor",
    "HistoryItem",
    "HistoryPage",
    "IdClash",
    "JournalStore",
    "NewApproval",
    "NewTurn",
    "NotFound",
    "OpenBlob",
    "PastTurn",
    "PausedRun",
    "Recent",
    "RequestKey",
    "S3Access",
    "SchemaOutdated",
    "SchemaUnknown",
    "SqlStore",
    "StoreError",
    "StoreUnavailable",
    "SyncActionStatus",
    "SyncActionStore",
    "SyncAnswer",
    "SyncRun",
    "ThreadBusy",
    "ThreadChanged",
    "TurnRecord",
    "TurnStatus",
    "TurnStore",
    "Upload",
    "UploadStore",
    "WorkerRecord",
    "create_schema",
    "new_id",
    "open_engine",
]
