"""Load history: a row for every file of every load, in the table's own database, so that a rollback undoes it."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from tests.peers.snowflake.lexer import quoted
from tests.peers.snowflake.session import Session

if TYPE_CHECKING:
    from tests.peers.snowflake.copy_into import Loaded, Order
    from tests.peers.snowflake.stages import Remote

EXPIRY = datetime.timedelta(days=64)


def history_table(database: str) -> str:
    return quoted(database, "_FS_INFORMATION_SCHEMA", "_IB_LOADS")


def make_history(duck: Any, database: str) -> None:
    duck.execute(
        f"CREATE TABLE IF NOT EXISTS {history_table(database)} (schema_name VARCHAR, table_name VARCHAR, "
        "url VARCHAR, "
        "etag VARCHAR, size BIGINT, loaded_at TIMESTAMPTZ, status VARCHAR, parsed BIGINT, loaded BIGINT, "
        "errors BIGINT, "
        "first_error VARCHAR, query_id VARCHAR, stage VARCHAR)"
    )


def known(session: Session, table: tuple[str, str, str]) -> list[tuple[str, str, datetime.datetime]]:
    where = "WHERE schema_name = ? AND table_name = ? AND loaded > 0"
    sql = f"SELECT url, etag, epoch_us(loaded_at) FROM {history_table(table[0])} {where}"
    rows = session.duck.execute(sql, list(table[1:])).fetchall()
    return [(url, etag, datetime.datetime.fromtimestamp(micros / 1e6, datetime.UTC)) for url, etag, micros in rows]


def skipped(
    session: Session, order: Order, remote: Remote, history: list[tuple[str, str, datetime.datetime]]
) -> str | None:
    """Why a file is left out: loaded in the last 64 days with this content, or too old to know."""
    oldest = session.world.now() - EXPIRY
    of_file = [when for url, etag, when in history if url == remote.url and etag == remote.etag]
    if any(when > oldest for when in of_file):
        return "File was loaded before."
    first = min((when for _, _, when in history), default=None)
    uncertain = remote.modified <= oldest and first is not None and first <= oldest
    if uncertain and not order.uncertain:
        return "File's load status is unknown: its load metadata has expired."
    return None


def record(session: Session, order: Order, done: list[Loaded], query_id: str) -> None:
    database, schema, table = order.table
    now = session.world.now()
    for one in done:
        if one.status != "LOAD_SKIPPED":
            session.duck.execute(
                f"INSERT INTO {history_table(database)} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [schema, table, one.remote.url, one.remote.etag, one.remote.size, now, one.status, one.parsed,
                 one.loaded, one.errors, one.first_error, query_id, ".".join(order.stage.name)],
            )  # fmt: skip
            session.duck.execute(
                f"INSERT INTO {quoted(database, '_FS_INFORMATION_SCHEMA', '_FS_LOAD_HISTORY')} "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, ?, ?)",
                [schema, one.remote.url, table, now, one.status, one.loaded, one.parsed, one.first_error, one.errors,
                 one.limit],
            )  # fmt: skip
