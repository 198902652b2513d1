"""The outside world, as the rest of the project sees it: Protocols that adapters make real."""

from __future__ import annotations

from icebridge_provider.ports.bridge import EventQueue, RowSource, SqlReader, SyncTarget
from icebridge_provider.ports.migration import (
    AccessControl,
    BatchEngine,
    Catalog,
    Clock,
    CopiedFile,
    Engine,
    FileStore,
    JobsTable,
    Lease,
    Ledger,
    Progress,
    Signer,
    Tables,
)
from icebridge_provider.ports.share import LoadTarget, SqlRunner

__all__ = [
    "AccessControl",
    "BatchEngine",
    "Catalog",
    "Clock",
    "CopiedFile",
    "Engine",
    "EventQueue",
    "FileStore",
    "JobsTable",
    "Lease",
    "Ledger",
    "LoadTarget",
    "Progress",
    "RowSource",
    "Signer",
    "SqlReader",
    "SqlRunner",
    "SyncTarget",
    "Tables",
]
