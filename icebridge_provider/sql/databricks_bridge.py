"""Statements of the event sync on a SQL warehouse: the table ``bridge_events``, and reads of one version of a table.

All events of a statement are one bound value, a JSON text. Times go both ways as microseconds since 1970, so that no
session's time zone has a say.
"""

from __future__ import annotations

from collections.abc import Sequence

from icebridge_provider.sql.databricks import Parts, create_managed, names
from icebridge_provider.sql.identifiers import data_type, literal, quoted

COLUMNS = (
    ("event_id", "STRING"),
    ("operation", "STRING"),
    ("source_table", "STRING"),
    ("target_table", "STRING"),
    ("primary_keys", "ARRAY<STRING>"),
    ("priority", "INT"),
    ("status", "STRING"),
    ("rows_expected", "BIGINT"),
    ("rows_affected", "BIGINT"),
    ("discrepancy", "BIGINT"),
    ("warning", "STRING"),
    ("error_message", "STRING"),
    ("filter_conditions", "MAP<STRING, STRING>"),
    ("metadata", "MAP<STRING, STRING>"),
    ("created_at", "TIMESTAMP"),
    ("processed_at", "TIMESTAMP"),
    ("attempt", "INT"),
    ("claimed_by", "STRING"),
    ("claimed_until", "TIMESTAMP"),
    ("released_rows", "BIGINT"),
)
ADDED = ("attempt", "claimed_by", "claimed_until", "released_rows")
"""What an events table that somebody else made may lack; it is added."""

_NOW = "current_timestamp()"
_STATUS = "coalesce(`status`, 'pending')"
_OVER = f"({_STATUS} = 'processing' AND (`claimed_until` IS NULL OR `claimed_until` <= {_NOW}))"
_CLAIMABLE = f"(`event_id` IS NOT NULL AND ({_STATUS} = 'pending' OR {_OVER}))"
_CREATED = f"coalesce(`created_at`, {_NOW})"
_SHOWN = {
    "priority": "coalesce(`priority`, 0)",
    "primary_keys": "to_json(`primary_keys`)",
    "filter_conditions": "to_json(`filter_conditions`)",
    "metadata": "to_json(`metadata`)",
    "status": f"CASE WHEN {_OVER} THEN 'pending' ELSE {_STATUS} END",
    "created_at": f"unix_micros({_CREATED})",
    "processed_at": "unix_micros(`processed_at`)",
    "claimed_until": "unix_micros(`claimed_until`)",
}
_SENT = {
    "created_at": f"timestamp_micros(coalesce(s.`created_at`, unix_micros({_NOW}) + s.`place`))",
    "processed_at": "timestamp_micros(s.`processed_at`)",
    "claimed_until": "timestamp_micros(s.`claimed_until`)",
}


def create_events(table: Parts) -> str:
    """Create the table."""
    return create_managed(table, COLUMNS, comment="Events that IceBridge brings over to SQL Server")


def add_columns(table: Parts, missing: Sequence[str]) -> str:
    """Add columns of ours to an events table that has only those of its maker."""
    listed = ", ".join(f"{quoted(name)} {data_type(kind)}" for name, kind in COLUMNS if name in missing)
    return f"ALTER TABLE {quoted(*table)} ADD COLUMNS ({listed})"


def no_rows(table: Parts, pin: str = "") -> str:
    """Select nothing: only the columns are looked at."""
    return f"SELECT * FROM {quoted(*table)}{_as_of(pin)} LIMIT 0"  # noqa: S608 - all quoted


def insert_events(table: Parts) -> str:
    """Add the events of ``:events`` (JSON) whose id is not there.

    One without a time gets the warehouse's plus ``place`` microseconds: events of one statement keep their order.
    """
    sent = (*COLUMNS, ("place", "BIGINT"))
    return (
        f"MERGE INTO {quoted(*table)} AS t {_using('events', sent)} ON t.`event_id` = s.`event_id`"  # noqa: S608
        f" WHEN NOT MATCHED THEN INSERT ({names(name for name, _ in COLUMNS)})"
        f" VALUES ({', '.join(_SENT.get(name, f's.{quoted(name)}') for name, _ in COLUMNS)})"
    )


def waiting(table: Parts) -> str:
    """Count what can be claimed, and tell one such set from another."""
    return (
        "SELECT count(*), sum(`attempt`), min(`event_id`), max(`event_id`), max(unix_micros(`created_at`))"  # noqa: S608
        f" FROM {quoted(*table)} WHERE {_CLAIMABLE}"
    )


def waiting_events(table: Parts, limit: int) -> str:
    """Events that can be claimed."""
    return (
        f"SELECT {_shown()} FROM {quoted(*table)} WHERE {_CLAIMABLE}"  # noqa: S608 - all quoted
        f" ORDER BY `priority` DESC, `created_at`, `event_id` LIMIT {int(limit)}"
    )


def ahead(table: Parts, limit: int) -> str:
    """The earliest open events of each of the target tables in ``:tables`` (JSON)."""
    listed = names(name for name, _ in COLUMNS)
    lane = "coalesce(`target_table`, '')"
    return (
        f"SELECT {listed} FROM (SELECT {_shown()}, row_number() OVER (PARTITION BY {lane}"  # noqa: S608 - all quoted
        f" ORDER BY {_CREATED}, `event_id`) AS place_in_lane FROM {quoted(*table)}"
        f" WHERE {_STATUS} IN ('pending', 'processing', 'blocked') AND {_listed('tables', lane)})"
        f" WHERE place_in_lane <= {int(limit)} ORDER BY `target_table`, `created_at`, `event_id`"
    )


def claim(table: Parts) -> str:
    """Claim the events of ``:ids`` (JSON) for ``:owner`` until ``:micros`` from now."""
    until = f"timestamp_micros(unix_micros({_NOW}) + CAST(:micros AS BIGINT))"
    return (
        f"UPDATE {quoted(*table)} SET `status` = 'processing', `attempt` = coalesce(`attempt`, 0) + 1,"  # noqa: S608
        f" `claimed_by` = :owner, `claimed_until` = {until}, `created_at` = {_CREATED}"
        f" WHERE {_listed('ids', '`event_id`')} AND {_CLAIMABLE}"
    )


def claimed(table: Parts) -> str:
    """Events of one claim, ``:owner``."""
    own = f"`claimed_by` = :owner AND {_STATUS} = 'processing'"
    return f"SELECT {_shown(plain=True)} FROM {quoted(*table)} WHERE {own}"  # noqa: S608 - all quoted


def finish(table: Parts) -> str:
    """Write how the claimed events of ``:ends`` (JSON) ended."""
    set_to = ("status", "rows_affected", "discrepancy", "warning", "error_message")
    kinds = {"event_id", "claimed_by", "attempt", *set_to}
    changes = ", ".join(f"t.{quoted(name)} = s.{quoted(name)}" for name in set_to)
    return (
        f"MERGE INTO {quoted(*table)} AS t {_using('ends', [item for item in COLUMNS if item[0] in kinds])}"
        f" ON {_OWN} WHEN MATCHED THEN UPDATE SET {changes}, t.`processed_at` = {_NOW}, t.`claimed_until` = NULL"
    )


def give_back(table: Parts, *, tried: bool) -> str:
    """Make the claimed events of ``:events`` (JSON) pending, with ``:message``; untried ones are not counted."""
    less = "" if tried else ", t.`attempt` = t.`attempt` - 1"
    kinds = [item for item in COLUMNS if item[0] in {"event_id", "claimed_by", "attempt"}]
    return (
        f"MERGE INTO {quoted(*table)} AS t {_using('events', kinds)} ON {_OWN} WHEN MATCHED THEN UPDATE SET"
        f" t.`status` = 'pending', t.`error_message` = :message, t.`claimed_by` = NULL, t.`claimed_until` = NULL{less}"
    )


def note(table: Parts) -> str:
    """Write the warnings of pending events, ``:notes`` (JSON)."""
    kinds = [item for item in COLUMNS if item[0] in {"event_id", "warning"}]
    return (
        f"MERGE INTO {quoted(*table)} AS t {_using('notes', kinds)} ON t.`event_id` = s.`event_id`"
        " AND coalesce(t.`status`, 'pending') = 'pending' WHEN MATCHED THEN UPDATE SET t.`warning` = s.`warning`"
    )


def release(table: Parts) -> str:
    """Let the blocked event ``:event_id`` run again with at most ``:rows`` rows."""
    return (
        f"UPDATE {quoted(*table)} SET `status` = 'pending', `released_rows` = CAST(:rows AS BIGINT),"  # noqa: S608
        " `warning` = '', `error_message` = '', `claimed_by` = NULL, `claimed_until` = NULL"
        " WHERE `event_id` = :event_id AND `status` = 'blocked'"
    )


def reject(table: Parts) -> str:
    """End the blocked event ``:event_id`` with ``:message``."""
    return (
        f"UPDATE {quoted(*table)} SET `status` = 'rejected', `error_message` = :message,"  # noqa: S608 - all quoted
        f" `processed_at` = {_NOW} WHERE `event_id` = :event_id AND `status` = 'blocked'"
    )


def events(table: Parts, limit: int, *, of_status: bool = False) -> str:
    """Events, newest first; of one ``:status`` where that is asked."""
    where = f" WHERE {_STATUS} = :status" if of_status else ""
    return (
        f"SELECT {_shown(plain=True)} FROM {quoted(*table)}{where}"  # noqa: S608 - all quoted
        f" ORDER BY `created_at` DESC, `event_id` DESC LIMIT {int(limit)}"
    )


def events_by_id(table: Parts) -> str:
    """The events of ``:ids`` (JSON)."""
    return f"SELECT {_shown(plain=True)} FROM {quoted(*table)} WHERE {_listed('ids', '`event_id`')}"  # noqa: S608


# Sources


def rows_of(table: Parts, pin: str, columns: Sequence[str], filters: Sequence[tuple[str, str]]) -> str:
    """Read rows of a pinned version, where each filter's column has the value ``:f0``, ``:f1``, …, of its type.

    :param pin: the moment the version was written, ISO 8601, or empty.
    :param filters: columns and their Databricks types.
    """
    tests = [f"{quoted(name)} = CAST(:f{place} AS {data_type(kind)})" for place, (name, kind) in enumerate(filters)]
    where = f" WHERE {' AND '.join(tests)}" if tests else ""
    return f"SELECT {names(columns)} FROM {quoted(*table)}{_as_of(pin)}{where}"  # noqa: S608 - all quoted


def _as_of(pin: str) -> str:
    return f" TIMESTAMP AS OF {literal(pin)}" if pin else ""


_OWN = (
    "t.`event_id` = s.`event_id` AND t.`claimed_by` = s.`claimed_by` AND t.`attempt` = s.`attempt`"
    " AND t.`status` = 'processing'"
)


def _shown(*, plain: bool = False) -> str:
    """All columns as texts that mean the same everywhere; ``plain`` shows a claim that is over as it stands."""
    shown = _SHOWN | ({"status": _STATUS} if plain else {})
    return ", ".join(f"{shown.get(name, quoted(name))} AS {quoted(name)}" for name, _ in COLUMNS)


def _using(value: str, columns: Sequence[tuple[str, str]]) -> str:
    shape = ", ".join(f"{name}: {'BIGINT' if kind == 'TIMESTAMP' else kind}" for name, kind in columns)
    return f"USING (SELECT inline(from_json(:{value}, {literal(f'ARRAY<STRUCT<{shape}>>')}))) AS s"


def _listed(value: str, column: str) -> str:
    return f"array_contains(from_json(:{value}, 'ARRAY<STRING>'), {column})"
