"""Writes the whole ledger to one portable file, and fills an empty ledger from it.

JSON lines: a header, one line a row, and last the SHA-256 of everything before it. The file fits SQLite and
PostgreSQL alike. It is readable by its owner only.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ConfigurationError, ValidationFailed
from icebridge_provider.state.database import REVISION, Database
from icebridge_provider.state.schema import DOCUMENTS, EVENTS, FILES, HEAD, LEASES, LIMITS, PLANS
from icebridge_provider.state.whole_file import write_whole

FORMAT = "icebridge-ledger-backup-1"
_TABLES = {table.name: table for table in (HEAD, EVENTS, LEASES, PLANS, FILES, DOCUMENTS, LIMITS)}
_ROWS = 1000


def backup(ledger: Database, path: Path) -> int:
    """Write every row as of one moment; return the number of rows. Work may go on meanwhile.

    :raises ConfigurationError: IB-111 when the ledger is not migrated, IB-118 when the file cannot be written.
    """
    ledger.check_migrated()
    with side_effect("backup.write"):
        return write_whole("The backup", path, lambda partial: _write(ledger, partial))


def restore(ledger: Database, path: Path) -> int:
    """Fill an empty, migrated ledger with the rows of a backup, all or none; return their number.

    Leases come back lapsed and one owner further, so that whoever held one before can change nothing any more.
    A ledger that holds this very backup already is success.

    :raises ValidationFailed: IB-116 when the file is no whole backup of this version.
    :raises ConfigurationError: IB-111 when the ledger is not migrated, IB-117 when it holds something else.
    """
    ledger.check_migrated()
    header = _check(path)
    with side_effect("backup.restore"), ledger.writing() as connection:
        seq, last = connection.execute(sa.select(HEAD.c.seq, HEAD.c.hash).with_for_update()).one()
        if {"seq": seq, "hash": last} == header["head"] and seq:
            return int(header["rows"])
        _refuse_full(connection, ledger)
        connection.execute(sa.delete(HEAD))
        for table, rows in groupby(_rows(path), key=lambda row: str(row["table"])):
            _fill(connection, _TABLES[table], (_restored(table, row["row"]) for row in rows))
    return int(header["rows"])


def _write(ledger: Database, path: Path) -> int:
    digest, rows = hashlib.sha256(), 0
    with (
        ledger.reading(repeatable=True) as connection,
        os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file,
    ):
        for number, line in enumerate(_lines(connection)):
            text = f"{json.dumps(line, sort_keys=True, separators=(',', ':'))}\n".encode()
            digest.update(text)
            file.write(text)
            rows = number
        file.write(f'{{"sha256":"{digest.hexdigest()}"}}\n'.encode())
        file.flush()
        os.fsync(file.fileno())
    return rows


def _lines(connection: Connection) -> Iterator[dict[str, Any]]:
    counted = (sa.select(sa.func.count()).select_from(table) for table in _TABLES.values())
    rows = sum(connection.execute(query).scalar_one() for query in counted)
    head = connection.execute(sa.select(HEAD.c.seq, HEAD.c.hash)).one()
    start = {"format": FORMAT, "revision": REVISION, "rows": rows}
    yield start | {"head": {"seq": head.seq, "hash": head.hash}}
    for name, table in _TABLES.items():
        query = sa.select(table).order_by(*table.primary_key.columns).execution_options(yield_per=_ROWS)
        for row in connection.execute(query):
            yield {"table": name, "row": dict(row._mapping)}  # noqa: SLF001 - SQLAlchemy's documented name


def _check(path: Path) -> dict[str, Any]:
    """Return the header of a file whose digest and number of rows fit."""
    digest, count, header, last = hashlib.sha256(), 0, b"", b""
    try:
        with path.open("rb") as file:
            for line in file:
                if last:
                    digest.update(last)
                    count += 1
                header, last = header or line, line
        found = dict(json.loads(header))
        whole = json.loads(last) == {"sha256": digest.hexdigest()} and count == found["rows"] + 1
    except OSError as error:
        raise _damaged(path, str(error.strerror)) from None
    except (ValueError, KeyError, TypeError):
        raise _damaged(path, "it is no backup of a ledger") from None
    if found.get("format") != FORMAT or found.get("revision") != REVISION:
        raise _damaged(path, f"it was written at revision {found.get('revision')}, this version reads {REVISION}")
    if not whole:
        raise _damaged(path, "its digest does not fit, so it was cut off or changed")
    return found


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in file:
            values = json.loads(line)
            if "table" in values:
                yield values


def _restored(table: str, row: dict[str, Any]) -> dict[str, Any]:
    return row | {"epoch": row["epoch"] + 1, "expires_at": 0.0} if table == LEASES.name else row


def _fill(connection: Connection, table: sa.Table, rows: Iterator[dict[str, Any]]) -> None:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _ROWS:
            connection.execute(sa.insert(table), batch)
            batch = []
    if batch:
        connection.execute(sa.insert(table), batch)


def _refuse_full(connection: Connection, ledger: Database) -> None:
    for table in _TABLES.values():
        if table is not HEAD and connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
            raise ConfigurationError(
                "IB-117",
                f"The ledger {ledger!r} is not empty; a backup is only put into an empty one.",
                remedy="Point the connection icebridge_ledger to a new database and restore into that.",
            )


def _damaged(path: Path, why: str) -> ValidationFailed:
    return ValidationFailed(
        "IB-116",
        f"The backup {path} cannot be restored: {why}.",
        remedy="Take another backup file; make one regularly with: airflow icebridge db backup FILE.",
        path=path,
    )
