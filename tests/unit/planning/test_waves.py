"""Waves hold their limits, lose no table, and begin small."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from icebridge_provider.model.plan import CopyMethod, TablePlan
from icebridge_provider.planning.waves import cut
from tests.support.inventories import ident


def planned(name: str, size: int = 1) -> TablePlan:
    source = ident(f"ns.{name}")
    return TablePlan(
        source=source, target=source, staged=source, method=CopyMethod.COPY_FILES, table_uuid="", metadata_location="",
        snapshot_id=1, location="", files=1, bytes=size, rows=1,
    )  # fmt: skip


def groups(tables: list[TablePlan], most_tables: int, most_bytes: int, canary: int = 2) -> list[list[str]]:
    numbered, waves = cut(tables, most_tables=most_tables, most_bytes=most_bytes, canary_tables=canary)
    return [[table.source.name for table in numbered if table.wave == wave.number] for wave in waves]


def test_what_fits_one_wave_is_one_wave_without_a_canary() -> None:
    _, waves = cut([planned("a"), planned("b")], most_tables=2, most_bytes=2, canary_tables=5)
    assert [(wave.tables, wave.bytes, wave.canary) for wave in waves] == [(2, 2, False)]


def test_more_begin_with_the_smallest() -> None:
    tables = [planned("d", 1), planned("a", 9), planned("b", 3), planned("c", 2)]
    assert groups(tables, 2, 100) == [["c", "d"], ["a", "b"]]
    assert groups(tables, 2, 100, canary=0) == [["a", "b"], ["c", "d"]]


def test_a_canary_of_large_tables_still_fits_a_wave() -> None:
    assert groups([planned("a", 8), planned("b", 8), planned("c", 8)], 200, 10, canary=5) == [["a"], ["b"], ["c"]]


def test_a_table_larger_than_a_wave_has_its_own() -> None:
    assert groups([planned("a", 1), planned("b", 99), planned("c", 1)], 200, 10, canary=1) == [["a"], ["b"], ["c"]]


SIZES = st.lists(st.integers(0, 20), min_size=1, max_size=40)


@given(SIZES, st.integers(1, 6), st.integers(1, 30), st.integers(0, 8), st.randoms())
def test_limits_hold_and_no_table_is_lost(
    sizes: list[int], most: int, most_bytes: int, canary: int, random: object
) -> None:
    tables = [planned(f"t{number:02d}", size) for number, size in enumerate(sizes)]
    shuffled = list(tables)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    numbered, waves = cut(shuffled, most_tables=most, most_bytes=most_bytes, canary_tables=canary)
    assert (numbered, waves) == cut(tables, most_tables=most, most_bytes=most_bytes, canary_tables=canary)
    assert sorted(table.source for table in numbered) == [table.source for table in tables]
    assert [wave.number for wave in waves] == list(range(len(waves)))
    for wave in waves:
        own = [table.bytes for table in numbered if table.wave == wave.number]
        assert (wave.tables, wave.bytes) == (len(own), sum(own))
        assert 0 < len(own) <= most
        assert sum(own) <= most_bytes or len(own) == 1
    assert [wave.canary for wave in waves] == [len(waves) > 1 and canary > 0, *[False] * (len(waves) - 1)]
    if waves[0].canary:
        rest = [table.bytes for table in numbered if table.wave]
        assert waves[0].tables <= canary
        assert not rest or max(table.bytes for table in numbered if not table.wave) <= min(rest)
