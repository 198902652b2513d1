"""A slice of the odd names, hostile ones among them; and a bug in the quoting that it catches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import share_names
from tests.support.snowflake import Account

pytestmark = pytest.mark.crash
TABLES, COLUMNS = 4, 8


@pytest.fixture
def account(snowflake: Account) -> Iterator[Account]:
    yield snowflake
    snowflake.calm()


def test_odd_names_go_through_from_the_plan_to_the_rows(tmp_path: Path, account: Account) -> None:
    assert account.s3 is not None
    found = share_names.examine(TABLES, tmp_path, account, account.s3, width=COLUMNS)
    assert found.violations == []
    assert (found.tables, found.names) == (TABLES, TABLES * (COLUMNS + 1))
    assert found.refused == 3 * len(share_names.ILLEGAL)
    assert set(found.modes) == {"append", "replace", "replace/swap", "upsert"}


def test_there_are_enough_names_all_different_and_the_hostile_ones_first() -> None:
    names = share_names.odd_names(2250)
    assert len({name.casefold() for name in names}) == len(names) == 2250
    hostile = {name.casefold() for name in share_names.HOSTILE}
    assert {name.casefold() for name in names[: len(hostile)]} == hostile
    assert max(map(len, names)) == 255
