"""The statements as they are sent: every name quoted, every value a place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.sql import bridge as sql

EVENTS, T = ("bridge_events",), ("dbo", 'od"d')
GOLDEN: dict[str, tuple[Callable[[str], str], str, str]] = {
    "insert": (
        lambda d: sql.insert_rows(T, ("id", "a%b"), d, identity=True),
        'INSERT INTO "dbo"."od""d" ("id", "a%b") SELECT "id", "a%b" FROM "temp"."icebridge_stage"',
        'INSERT INTO "dbo"."od""d" ("id", "a%%b") OVERRIDING SYSTEM VALUE'
        ' SELECT "id", "a%%b" FROM "pg_temp"."icebridge_stage"',
    ),
    "update": (
        lambda d: sql.update_rows(T, ("id", "part"), ("v",), d),
        'UPDATE "dbo"."od""d" AS t SET "v" = s."v" FROM "temp"."icebridge_stage" AS s'
        ' WHERE t."id" = s."id" AND t."part" = s."part"',
        'UPDATE "dbo"."od""d" AS t SET "v" = s."v" FROM "pg_temp"."icebridge_stage" AS s'
        ' WHERE t."id" = s."id" AND t."part" = s."part"',
    ),
    "delete": (
        lambda d: sql.delete_rows(T, ("id",), d),
        'DELETE FROM "dbo"."od""d" AS t WHERE EXISTS (SELECT 1 FROM "temp"."icebridge_stage" AS s'
        ' WHERE t."id" = s."id")',
        'DELETE FROM "dbo"."od""d" AS t WHERE EXISTS (SELECT 1 FROM "pg_temp"."icebridge_stage" AS s'
        ' WHERE t."id" = s."id")',
    ),
    "rows": (
        lambda d: sql.rows(("s",), [("id", False), ("at", d == "postgres")], [("name", True), ("n", False)], d),
        'SELECT "id", "at" FROM "s" WHERE "name" COLLATE BINARY = ? AND "n" = ?',
        'SELECT "id", CAST("at" AS text) FROM "s" WHERE "name" COLLATE "C" = %s AND "n" = %s',
    ),
    "stage": (
        lambda d: sql.create_stage(T, [("id", " INT"), ("n", " TEXT COLLATE NOCASE")], d),
        'CREATE TEMPORARY TABLE icebridge_stage ("id" INT, "n" TEXT COLLATE NOCASE)',
        'CREATE TEMPORARY TABLE icebridge_stage ON COMMIT DROP AS SELECT "id", "n" FROM "dbo"."od""d" WITH NO DATA',
    ),
    "fill": (
        lambda d: sql.fill_stage(2, 2, d),
        'INSERT INTO "temp"."icebridge_stage" VALUES (?, ?), (?, ?)',
        'INSERT INTO "pg_temp"."icebridge_stage" VALUES (%s, %s), (%s, %s)',
    ),
    "finish": (
        lambda d: sql.finish(EVENTS, d),
        'UPDATE "bridge_events" SET status = ?, rows_affected = ?, discrepancy = ?, warning = ?, error_message = ?,'
        " processed_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'), claimed_until = ''"
        " WHERE event_id = ? AND claimed_by = ? AND attempt = ? AND status = 'processing'",
        'UPDATE "bridge_events" SET status = %s, rows_affected = %s, discrepancy = %s, warning = %s,'
        " error_message = %s, processed_at = to_char(clock_timestamp() AT TIME ZONE 'UTC',"
        " 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), claimed_until = ''"
        " WHERE event_id = %s AND claimed_by = %s AND attempt = %s AND status = 'processing'",
    ),
    "inbox": (
        lambda d: sql.begin_settling(("icebridge_inbox",), d),
        "INSERT INTO \"icebridge_inbox\" (event_id, payload, attempt, status) VALUES (?, ?, ?, 'processing')"
        " ON CONFLICT (event_id) DO NOTHING",
        "INSERT INTO \"icebridge_inbox\" (event_id, payload, attempt, status) VALUES (%s, %s, %s, 'processing')"
        " ON CONFLICT (event_id) DO NOTHING",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_a_statement_is_just_this(name: str) -> None:
    build, sqlite, postgres = GOLDEN[name]
    assert build("sqlite") == sqlite
    assert build("postgres") == postgres


def test_only_rows_that_are_claimed_by_this_claim_are_finished_or_given_back() -> None:
    for dialect in ("sqlite", "postgres"):
        for statement in (sql.finish(EVENTS, dialect), sql.give_back(EVENTS, dialect)):
            assert "claimed_by = " in statement.split("WHERE")[1]
            assert "attempt = " in statement.split("WHERE")[1]


def test_other_databases_are_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"IB-851.*'oracle'"):
        sql.check_dialect("oracle")


def test_names_that_are_none_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="IB-246"):
        sql.delete_rows(("a\0b",), ("id",), "postgres")
