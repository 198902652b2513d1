"""Metadata JSON of every format version becomes facts; credentials in it do not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icebridge_provider.catalogs.facts import claimed, facts_of, type_text
from icebridge_provider.model import codec
from icebridge_provider.model.redaction import HIDDEN, redacted, scrubbed
from icebridge_provider.model.table import TableFacts

FIELDS = [
    {"id": 1, "name": "id", "required": True, "type": "long", "doc": "the key"},
    {"id": 2, "name": "tags", "required": False, "type": {"type": "list", "element-id": 5, "element": "string",
                                                         "element-required": False}},
    {"id": 3, "name": "m", "required": False, "type": {"type": "map", "key-id": 6, "key": "string", "value-id": 7,
                                                      "value": "decimal(10, 2)", "value-required": False}},
    {"id": 4, "name": "s", "required": False, "type": {"type": "struct", "fields": [
        {"id": 8, "name": "x", "type": "int"}, {"id": 9, "name": "y", "type": "fixed[4]"}]}},
]  # fmt: skip


def metadata(**changes: Any) -> dict[str, Any]:
    return {
        "format-version": 2,
        "table-uuid": "u",
        "location": "s3://b/t",
        "last-updated-ms": 5,
        "schemas": [{"schema-id": 0, "fields": []}, {"schema-id": 1, "fields": FIELDS}],
        "current-schema-id": 1,
        "partition-specs": [{"spec-id": 0, "fields": []}],
        "default-spec-id": 0,
        "snapshots": [],
        **changes,
    }


def snapshot(number: int, **summary: str) -> dict[str, Any]:
    return {"snapshot-id": number, "timestamp-ms": number, "summary": {"operation": "append", **summary}}


def test_columns_are_those_of_the_current_schema_with_the_specs_own_type_names() -> None:
    facts = facts_of("m.json", metadata())
    assert [(column.field_id, column.name, column.type, column.required) for column in facts.columns] == [
        (1, "id", "long", True),
        (2, "tags", "list<string>", False),
        (3, "m", "map<string, decimal(10, 2)>", False),
        (4, "s", "struct<x: int, y: fixed[4]>", False),
    ]
    assert facts.columns[0].doc == "the key"


def test_format_one_without_lists_is_read() -> None:
    old = {
        "format-version": 1, "location": "/t", "last-updated-ms": 1, "schema": {"type": "struct", "fields": FIELDS[:1]},
        "partition-spec": [{"source-id": 1, "field-id": 1000, "name": "id", "transform": "identity"}],
        "current-snapshot-id": -1,
    }  # fmt: skip
    facts = facts_of("m.json", old)
    assert facts.table_uuid == ""
    assert facts.current_snapshot_id is None
    assert facts.refs == {}
    assert [column.name for column in facts.columns] == ["id"]
    assert facts.specs[0]["fields"][0]["transform"] == "identity"


def test_writers_are_recognised_and_newest_first() -> None:
    snapshots = [
        snapshot(1, **{"spark.app.id": "app-1"}),
        snapshot(2, **{"engine-name": "spark", "engine-version": "4.1", "app-id": "app-2"}),
        snapshot(3, trino_query_id="q", trino_user="u"),
        snapshot(4, **{"flink.job-id": "j"}),
        snapshot(5, **{"iceberg-version": "Apache Iceberg 1.9.0 (commit abc)"}),
    ]
    found = [(writer.engine, writer.app_id) for writer in facts_of("m", metadata(snapshots=snapshots)).writers]
    assert found == [
        ("Apache Iceberg 1.9.0", ""),
        ("flink", "j"),
        ("trino", "q"),
        ("spark 4.1", "app-2"),
        ("spark", "app-1"),
    ]


def test_delete_files_of_unknown_kind_count_as_the_kind_fewer_methods_carry() -> None:
    totals = {"total-delete-files": "3", "total-position-deletes": "9", "total-data-files": "1", "total-records": "x"}
    facts = facts_of("m", metadata(**{"current-snapshot-id": 1, "snapshots": [snapshot(1, **totals)]}))
    assert (facts.summary.position_delete_files, facts.summary.equality_delete_files) == (3, 0)
    assert facts.summary.rows == 0
    totals["total-equality-deletes"] = "1"
    facts = facts_of("m", metadata(**{"current-snapshot-id": 1, "snapshots": [snapshot(1, **totals)]}))
    assert (facts.summary.position_delete_files, facts.summary.equality_delete_files) == (0, 3)
    assert "total-records" not in claimed(metadata(**{"current-snapshot-id": 1, "snapshots": [snapshot(1, **totals)]}))


def test_facts_survive_the_ledger() -> None:
    facts = facts_of("m", metadata(**{"current-snapshot-id": 1, "snapshots": [snapshot(1, **{"total-records": "4"})]}))
    assert codec.from_json(TableFacts, codec.to_json(facts)) == facts
    assert facts.refs == {"main": {"snapshot-id": 1, "type": "branch"}}


SECRETS = {
    "s3.secret-access-key": "canary",
    "s3.access-key-id": "canary",
    "s3.session-token": "canary",
    "fs.azure.account.key.x": "canary",
    "adls.sas-token.acct": "canary",
    "gcs.oauth2.token": "canary",
    "password": "canary",
    "connection.password": "canary",
    "jdbc.url": "jdbc:postgresql://user:canary@host/db",
    "note": "Bearer canary0canary1canary2",
    "source": "postgres://h/db?user=u&password=canary",
    "key": "AKIACANARYCANARYCANA",
    "client_secret": "canary",
    "private_key": "canary",
}


@pytest.mark.parametrize("key", sorted(SECRETS))
def test_credentials_in_table_properties_do_not_get_out(key: str) -> None:
    facts = facts_of("m", metadata(properties={key: SECRETS[key], "owner": "me"}))
    assert "canary" not in str(codec.to_json(facts)).lower()
    assert HIDDEN in facts.properties[key]
    assert facts.properties["owner"] == "me"


HARMLESS = {
    "write.parquet.compression-codec": "zstd",
    "write.metadata.path": "s3://bucket/meta",
    "icebridge.token": "0" * 48,
    "write.object-storage.partitioned-paths": "true",
    "commit.retry.num-retries": "4",
    "write.merge.mode": "merge-on-read",
    "primary-key": "id",
    "comment": "tokens and passwords live elsewhere",
}


def test_harmless_properties_stay_as_they_are() -> None:
    assert redacted(HARMLESS) == HARMLESS


@given(st.text(alphabet=st.characters(exclude_categories=["C", "Z"], exclude_characters="@/"), min_size=1))
def test_no_password_in_an_address_survives(password: str) -> None:
    shown = scrubbed(f"could not reach postgresql://svc:{password}§canary@db.example:5432/x")
    assert "canary" not in shown
    assert "db.example:5432/x" in shown


def test_type_text_of_something_unknown_is_its_name() -> None:
    assert type_text({"type": "hyper"}) == "hyper"
