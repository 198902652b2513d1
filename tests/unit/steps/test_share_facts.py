"""What the source tells of a table: columns without the rows below them, and facts, known or said not to be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError
from icebridge_provider.model.running import Answer
from icebridge_provider.model.snowflake import Statement
from icebridge_provider.steps.share_looks import source_columns
from icebridge_provider.steps.share_routes import KnownFacts, Use, route_facts

TABLE = ("main", "s", "t`x")
DETAIL = ("format", "name", "numFiles", "sizeInBytes", "properties")


@dataclass
class Told:
    """A source that answers by what a statement begins with."""

    answers: dict[str, Answer | IceBridgeError]
    asked: list[Statement] = field(default_factory=list)
    name: str = "databricks"

    def run(self, what: str, statement: Statement, tag: str = "") -> Answer:
        assert what
        assert not tag
        self.asked.append(statement)
        found = next(answer for start, answer in self.answers.items() if re.match(start, statement.text))
        if isinstance(found, IceBridgeError):
            raise found
        return found

    def start(self, what: str, statement: Statement, tag: str) -> str:
        raise AssertionError(f"{what} is no long statement")

    def find(self, tag: str) -> str:
        raise AssertionError(tag)

    def look(self, query_id: str) -> Any:
        raise AssertionError(query_id)

    def answer(self, query_id: str) -> Answer:
        raise AssertionError(query_id)

    def cancel(self, query_id: str) -> None:
        raise AssertionError(query_id)


def rows(*found: Sequence[Any]) -> Answer:
    return Answer(columns=("col_name", "data_type", "comment"), rows=tuple(tuple(row) for row in found))


@pytest.mark.parametrize(
    "below",
    [
        [], [("", "", "")],
        [("# Partition Information", "", ""), ("# col_name", "data_type", "comment"), ("day", "date", "")],
        [("", None, None), ("# Partitioning", "", ""), ("Part 0", "day", "")],
        [("# col_name", "data_type", "comment"), ("day", "date", None)],
    ],
)  # fmt: skip
def test_columns_end_where_partitions_are_told(below: list[tuple[Any, ...]]) -> None:
    columns = [("id", "bigint", None), ("# odd", "string", "c"), ("st", "struct<a:int,... 30 more fields>", None)]
    source = Told({"DESCRIBE TABLE": rows(*columns, *below)})
    assert [(item.name, item.type) for item in source_columns(source, TABLE)] == [(row[0], row[1]) for row in columns]
    assert source.asked[0].text == "DESCRIBE TABLE `main`.`s`.`t``x`"


def facts(detail: Answer | IceBridgeError, protections: Answer | IceBridgeError, **use: Any) -> KnownFacts:
    return route_facts(Told({"DESCRIBE DETAIL": detail, "SELECT": protections}), TABLE, Use(**use))


def detail(kind: str, properties: Any = None, size: Any = 5000) -> Answer:
    return Answer(columns=DETAIL, rows=((kind, "t", 3, size, properties or {}),))


def count(number: Any) -> Answer:
    return Answer(columns=("n",), rows=((number,),))


REFUSED = ConfigurationError("IB-241", "no.", remedy="")
UNIFORM = {"delta.universalFormat.enabledFormats": "hudi,iceberg"}


@pytest.mark.parametrize(
    ("told", "iceberg"),
    [
        (detail("iceberg"), True), (detail("ICEBERG"), True), (detail("delta"), False),
        (detail("delta", UNIFORM), True),
        (detail("delta", '{"delta.universalFormat.enabledFormats": "iceberg"}'), True), (detail("parquet"), False),
        (detail("delta", {"delta.universalFormat.enabledFormats": "hudi"}), False),
    ],
)  # fmt: skip
def test_iceberg_is_what_says_so_or_delta_with_uniform(told: Answer, iceberg: bool) -> None:
    known = facts(told, count(0))
    assert (known.facts.iceberg, known.facts.bytes) == (iceberg, 5000)
    assert not any("format" in item for item in known.unknown)
    assert not any("size" in item for item in known.unknown)


@pytest.mark.parametrize(("number", "protected"), [(0, False), (1, True), ("2", True)])
def test_filters_and_masks_are_counted(number: Any, protected: bool) -> None:
    known = facts(detail("delta"), count(number))
    assert known.facts.protected is protected
    assert any("policies (ABAC)" in item for item in known.unknown), "those stand elsewhere"


def test_names_are_bound_where_they_are_values() -> None:
    source = Told({"DESCRIBE DETAIL": detail("delta"), "SELECT": count(0)})
    route_facts(source, TABLE, Use())
    assert source.asked[1].values == {"schema": "s", "name": "t`x"}
    assert "`main`.`information_schema`.row_filters" in source.asked[1].text
    assert "t`x" not in source.asked[1].text


def test_what_the_source_refuses_to_tell_is_unknown_and_said() -> None:
    known = facts(REFUSED, REFUSED)
    assert (known.facts.bytes, known.facts.iceberg, known.facts.protected) == (0, False, False)
    assert [item.partition(":")[0] for item in known.unknown[:3]] == [
        "its size", "its format", "row filters and column masks",
    ]  # fmt: skip
    assert any("size" in item for item in facts(detail("delta", size=None), count(0)).unknown)
    assert any("format" in item for item in facts(detail("delta", "{"), count(0)).unknown)


def test_what_a_person_says_stands_before_what_the_source_tells() -> None:
    known = facts(detail("delta"), count(0), bytes=7, changed_bytes=0, scanned_bytes=3, same_region=False,
                  open_to_snowflake=True, volume="V")  # fmt: skip
    found = known.facts
    assert (found.bytes, found.changed_bytes, found.scanned_bytes) == (7, 0, 3)
    assert (found.same_region, found.has_endpoint, found.has_volume) == (False, True, True)
    assert len(known.unknown) == 1


def test_what_may_pass_is_not_taken_for_unknown() -> None:
    with pytest.raises(TransientError):
        facts(TransientError("IB-240", "busy.", remedy=""), count(0))
