"""The text of every statement about filters, masks and tags, and that a name stays a name whatever it is called."""

from __future__ import annotations

import inspect
import re

import pytest

from icebridge_provider.model.protection import Policy, PolicyKind
from icebridge_provider.sql import policies as sql
from tests.peers.databricks.sql_commands import parse

ODD = ("ma`in", "s; DROP", "t'able")
Q = "`ma``in`.`s; DROP`.`t'able`"
FUNCTION = ("main", "g`ov", "f")
POLICY = Policy(
    name="p`1",
    kind=PolicyKind.COLUMN_MASK,
    principals=("a`b", "c"),
    function="main.gov.f",
    definition='{"column_mask":{"on_column":"x","using":[{"alias":"y"}]},"match_columns":[{"alias":"x","condition":"c"}]}',
)
GOLDEN = {
    "set_row_filter": (
        sql.set_row_filter(ODD, FUNCTION, ["a`b", "c"]),
        f"ALTER TABLE {Q} SET ROW FILTER `main`.`g``ov`.`f` ON (`a``b`, `c`)",
    ),
    "drop_row_filter": (sql.drop_row_filter(ODD), f"ALTER TABLE {Q} DROP ROW FILTER"),
    "set_mask": (
        sql.set_mask(ODD, "p`w", FUNCTION, ["c"]),
        f"ALTER TABLE {Q} ALTER COLUMN `p``w` SET MASK `main`.`g``ov`.`f` USING COLUMNS (`c`)",
    ),
    "drop_mask": (sql.drop_mask(ODD, "p`w"), f"ALTER TABLE {Q} ALTER COLUMN `p``w` DROP MASK"),
    "set_tags": (
        sql.set_tags(ODD, {"k'": "v\\", "n": ""}, "p`w"),
        f"ALTER TABLE {Q} ALTER COLUMN `p``w` SET TAGS ('k\\'' = 'v\\\\', 'n' = '')",
    ),
    "unset_tags": (sql.unset_tags(ODD, ["k'", "n"]), f"ALTER TABLE {Q} UNSET TAGS ('k\\'', 'n')"),
    "set_owner": (sql.set_owner(ODD, "a`b"), f"ALTER TABLE {Q} SET OWNER TO `a``b`"),
    "create_policy": (
        sql.create_policy(POLICY, "TABLE", ODD),
        f"CREATE POLICY `p``1` ON TABLE {Q} COLUMN MASK `main`.`gov`.`f` TO `a``b`, `c` FOR TABLES"
        " MATCH COLUMNS c AS `x` ON COLUMN `x` USING COLUMNS (`y`)",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_text_is_this(name: str) -> None:
    written, wanted = GOLDEN[name]
    assert written == wanted


@pytest.mark.parametrize("name", [name for name in GOLDEN if name != "create_policy"])
def test_databricks_takes_it(name: str) -> None:
    """sqlglot has no grammar for these: the local workspace reads them by the rules of Databricks' SQL reference."""
    command = parse(GOLDEN[name][0])
    assert command is not None
    assert command.name == ODD


def test_every_statement_has_its_golden_text() -> None:
    made = {
        name for name, function in inspect.getmembers(sql, inspect.isfunction) if function.__module__ == sql.__name__
    }
    assert {name for name in made if not name.startswith("_")} == set(GOLDEN)


def test_a_mask_without_arguments_names_none() -> None:
    assert re.search(r"USING|\(", sql.set_mask(ODD, "c", FUNCTION, [])) is None
