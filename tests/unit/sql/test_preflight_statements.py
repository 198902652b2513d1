"""The statements of pre-flight, word for word, and that Databricks' grammar takes them."""

from __future__ import annotations

import pytest
import sqlglot

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.sql import preflight as sql

ODD = ("ma`in", "s; DROP", "t'able")


def test_a_grant_is_quoted() -> None:
    text = sql.grant(("SELECT", "MODIFY"), "TABLE", ODD, "eve` --")
    assert text == "GRANT SELECT, MODIFY ON TABLE `ma``in`.`s; DROP`.`t'able` TO `eve`` --`"
    assert sqlglot.parse_one(text, dialect="databricks").key == "grant"


def test_privileges_are_spelled_as_sql_spells_them() -> None:
    text = sql.grant(("EXTERNAL_USE_SCHEMA",), "SCHEMA", ODD[:2], "eve")
    assert text == "GRANT EXTERNAL USE SCHEMA ON SCHEMA `ma``in`.`s; DROP` TO `eve`"


def test_a_principal_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="IB-246"):
        sql.grant(("SELECT",), "TABLE", ODD, "")


def test_privileges_are_asked_for_by_bound_values() -> None:
    tree = sqlglot.parse_one(sql.table_privileges(), dialect="databricks")
    assert {found.name for found in tree.find_all(sqlglot.exp.Placeholder)} == {"catalog", "schema"}
    assert [column.name for column in tree.selects] == ["table_name", "grantee", "privilege_type"]


def test_a_schema_with_a_place_of_its_own() -> None:
    text = sql.create_schema_at(ODD[:2])
    assert text == "CREATE SCHEMA `ma``in`.`s; DROP` MANAGED LOCATION 's3://…'"
