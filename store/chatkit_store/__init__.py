"""A SQL store for any ChatKit server: threads, items, turns, attachments and feedback in SQLite or PostgreSQL."""

from chatkit_store.all_threads import AllThreadsStore, Between, Cursors, OwnedThread
from chatkit_store.api_keys import ApiKey, ApiKeyStore
from chatkit_store.approvals import Approval, ApprovalDecision, ApprovalStore, Decision, NewApproval, PausedRun
from chatkit_store.blob import Blob, BlobMissing, BlobsUnavailable, OpenBlob, S3Access
from chatkit_store.blobs import Blobs
from chatkit_store.chat_sessions import ChatSession, ChatSessionStore, SessionStatus
from chatkit_store.clean import clean_body, clean_json, clean_text
from chatkit_store.engine import open_engine
from chatkit_store.errors import (
    AlreadyDecided,
    DuplicateRequest,
    IdClash,
    LimitReached,
    NotFound,
    SchemaOutdated,
    SchemaUnknown,
    StoreError,
    StoreUnavailable,
    ThreadBusy,
    ThreadChanged,
    TooManyUnsent,
)
from chatkit_store.extras import ExtraMissing
from chatkit_store.heartbeats import HeartbeatStore, WorkerRecord
from chatkit_store.history import HistoryCursor, HistoryItem, HistoryPage, HistoryWindow, PastTurn
from chatkit_store.ids import derived_id, new_id
from chatkit_store.imports import ImportedThread, ImportStore
from chatkit_store.items import Recent
from chatkit_store.journal import Entry, JournalStore
from chatkit_store.limits import Starter, TurnLimits
from chatkit_store.notices import is_notice_id, notice_id
from chatkit_store.notifications import CannotListen, Listener
from chatkit_store.owner import Owner
from chatkit_store.schema import create_schema
from chatkit_store.sql import SqlStore
from chatkit_store.statistics import StatisticsStore, TurnStatistics
from chatkit_store.sync_actions import SyncActionStatus, SyncActionStore, SyncAnswer, SyncRun
from chatkit_store.text import plain_text
from chatkit_store.threads import ThreadState
from chatkit_store.turn_rows import NewTurn, RequestKey, TurnEnd, TurnRecord, TurnStatus
from chatkit_store.turns import TurnStore
from chatkit_store.uploads import Upload, UploadStore
from chatkit_store.urls import InvalidUrl
from chatkit_store.user_data import UserDataStore

__all__ = [
    "AllThreadsStore",
    "AlreadyDecided",
    "ApiKey",
    "ApiKeyStore",
    "Approval",
    "ApprovalDecision",
    "ApprovalStore",
    "Between",
    "Blob",
    "BlobMissing",
    "Blobs",
    "BlobsUnavailable",
    "CannotListen",
    "ChatSession",
    "ChatSessionStore",
    "Cursors",
    "Decision",
    "DuplicateRequest",
    "ExtraMissing",
    "Entry",
    "HeartbeatStore",
    "HistoryCursor",
    "HistoryItem",
    "HistoryPage",
    "HistoryWindow",
    "IdClash",
    "ImportStore",
    "ImportedThread",
    "InvalidUrl",
    "JournalStore",
    "LimitReached",
    "Listener",
    "NewApproval",
    "NewTurn",
    "NotFound",
    "OpenBlob",
    "Owner",
    "OwnedThread",
    "PastTurn",
    "PausedRun",
    "Recent",
    "RequestKey",
    "S3Access",
    "SchemaOutdated",
    "SchemaUnknown",
    "SessionStatus",
    "SqlStore",
    "Starter",
    "StatisticsStore",
    "StoreError",
    "StoreUnavailable",
    "SyncActionStatus",
    "SyncActionStore",
    "SyncAnswer",
    "SyncRun",
    "ThreadBusy",
    "ThreadChanged",
    "ThreadState",
    "TooManyUnsent",
    "TurnEnd",
    "TurnLimits",
    "TurnRecord",
    "TurnStatistics",
    "TurnStatus",
    "TurnStore",
    "Upload",
    "UploadStore",
    "UserDataStore",
    "WorkerRecord",
    "clean_body",
    "clean_json",
    "clean_text",
    "create_schema",
    "derived_id",
    "is_notice_id",
    "new_id",
    "notice_id",
    "open_engine",
    "plain_text",
]
