"""Every kind of mapping rule, what it refuses, and that no two tables ever get one name."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.planning.mapping import map_table, map_tables, parse_rules, rule_path, rule_text, unused
from icebridge_provider.planning.patterns import matches, refuse_slow
from tests.support.inventories import ident


def to(rules: list[str], path: str) -> str:
    return map_table(parse_rules(rules), ident(path), "dst").path


@pytest.mark.parametrize(
    ("rules", "path", "expected"),
    [
        ([], "a.b", "a.b"),
        ([" ", ""], "a.b.c", "a.b.c"),
        (["explicit:a.b=c.d"], "a.b", "c.d"),
        (["explicit:a.b=c.d"], "a.bb", "a.bb"),
        (["explicit: a.b = c.d.e "], "a.b", "c.d.e"),
        (["explicit:a.`b=1`=c.`d.x`"], "a.`b=1`", "c.`d.x`"),
        (["prefix:a.=lake."], "a.b", "lake.b"),
        (["prefix:a.=lake."], "aa.b", "aa.b"),
        (["prefix:=old_"], "a.b", "old_a.b"),
        (["prefix:`my ns`.=ns."], "`my ns`.b", "ns.b"),
        (["suffix:_raw=_bronze"], "a.t_raw", "a.t_bronze"),
        (["suffix:_raw=_bronze"], "a.`t x_raw`", "a.`t x_bronze`"),
        (["suffix:=_v2"], "a.b", "a.b_v2"),
        (["suffix:_raw="], "a.t_raw", "a.t"),
        ([r"regex:/(.+)\.(.+)/ => lake.\1_\2"], "a.b", "lake.a_b"),
        ([r"regex:/(?P<n>[a-z]+)_\d+\.(.+)/ => \g<n>.\2"], "sales_2024.t", "sales.t"),
        ([r"regex:/b/ => x.y"], "a.b", "a.b"),
        (["prefix:a.=first.", "prefix:a.=second."], "a.b", "first.b"),
        (["prefix:a.=first.", "explicit:a.b=exact.one"], "a.b", "exact.one"),
        (["method:a.*=insert_select"], "a.b", "a.b"),
    ],
)
def test_a_table_gets_the_name_its_rules_say(rules: list[str], path: str, expected: str) -> None:
    assert to(rules, path) == expected


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("a.b=c.d", "explicit:a.b=c.d, prefix:"),
        ("explicit:a.b", "explicit:a.b=c.d, prefix:"),
        ("explicit:a=c.d", "'a' is not namespace.table"),
        ("explicit:a.b=c", "'c' is not namespace.table"),
        ("explicit:a.``=c.d", "is not namespace.table"),
        ("explicit:a.`b=c.d", "explicit:a.b=c.d, prefix:"),
        ("regex:a => b", "write regex:/pattern/ => replacement"),
        ("regex:/(/ => b", "missing )"),
        (r"regex:/(a)/ => \2.b", "invalid group reference 2"),
        (r"regex:/(.+)\.(.+)/ => lake.$1", r"groups are written \1"),
        ("regex:/(a+)+/ => b.c", "can take forever"),
        (f"regex:/{'a' * 301}/ => b.c", "at most 300 characters"),
        ("method:a.*=clone", "'clone' is not one of auto, copy_files"),
        ("method:=copy_files", "it names no table"),
    ],
)
def test_a_rule_that_cannot_be_read_is_named(rule: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_rules([rule])
    assert caught.value.code == "IB-311"
    assert repr(rule) in caught.value.message
    assert why in caught.value.message


@pytest.mark.parametrize(("rule", "path"), [("prefix:a.=", "a.b"), ("suffix:b=", "a.b"), ("regex:/.*/ => x", "a.b")])
def test_a_rule_that_leaves_no_name_is_refused_for_that_table(rule: str, path: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        to([rule], path)
    assert caught.value.code == "IB-311"


def test_two_rules_for_one_table_contradict() -> None:
    with pytest.raises(ConfigurationError, match=r"another rule maps a\.b to c\.d"):
        parse_rules(["explicit:a.b=c.d", "explicit:a.b=e.f"])
    assert len(parse_rules(["explicit:a.b=c.d", "explicit:a.b=c.d"]).explicit) == 1


def test_a_collision_names_both_and_its_remedy_works() -> None:
    tables = [ident("flights.airlines"), ident("legacy.airlines"), ident("legacy.planes")]
    rules = ["prefix:legacy.=flights."]
    with pytest.raises(ConfigurationError) as caught:
        map_tables(parse_rules(rules), tables, "dst")
    error = caught.value
    assert error.code == "IB-310"
    assert "src.flights.airlines and src.legacy.airlines would both become flights.airlines" in error.message
    pasted = error.remedy.split('"')[1]
    mapped = map_tables(parse_rules([*rules, pasted]), tables, "dst")
    assert [mapped[table].path for table in tables] == ["flights.airlines", "flights.airlines_legacy", "flights.planes"]


def test_names_that_differ_in_case_collide() -> None:
    with pytest.raises(ConfigurationError, match="do not tell apart"):
        map_tables(parse_rules([]), [ident("a.T"), ident("a.t")], "dst")


def test_misspelt_explicit_rules_are_found() -> None:
    rules = parse_rules(["explicit:a.tripz=b.c", "explicit:a.t=b.d"])
    assert unused(rules, [ident("a.t")], "src") == (ident("a.tripz"),)


def test_the_method_of_a_full_name_goes_before_globs() -> None:
    rules = parse_rules(["method:a.*=insert_select", "method:a.b=copy_files", "method:*.c=register"])
    assert [rules.method_of(ident(path)) for path in ("a.b", "a.c", "b.c", "b.d")] == [
        "copy_files", "insert_select", "register", "",
    ]  # fmt: skip


PART = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
NAMES = st.lists(PART, min_size=2, max_size=4).map(
    lambda parts: TableIdentifier(catalog="src", namespace=tuple(parts[:-1]), name=parts[-1])
)


@given(NAMES, NAMES)
def test_a_rule_about_any_legal_name_is_read_back(source: TableIdentifier, target: TableIdentifier) -> None:
    rules = parse_rules([rule_text("explicit", source, rule_path(target))])
    mapped = map_table(rules, source, "dst")
    assert (mapped.namespace, mapped.name) == (target.namespace, target.name)


@given(st.sets(NAMES, max_size=8), st.sampled_from(["prefix:=x_", "suffix:=_y", "prefix:a=b", "suffix:a=b"]))
def test_no_two_tables_ever_get_one_name(tables: set[TableIdentifier], rule: str) -> None:
    try:
        mapped = map_tables(parse_rules([rule]), tables, "dst")
    except ConfigurationError as error:
        assert error.code in {"IB-310", "IB-311"}
    else:
        assert len({target.path.casefold() for target in mapped.values()}) == len(tables)


@pytest.mark.parametrize(
    "pattern", ["(a+)+", "(a|a)*b", "((a+)b)*", "(a*){2,}", "(?:x+x+)+y", "a*" * 9, r"(a)\1", "([a-z]+)*"]
)
def test_patterns_that_can_hang_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"forever|more than|back references"):
        refuse_slow(pattern)


@pytest.mark.parametrize(
    "pattern",
    [r"(.+)\.(.+)", r"old_(.*)", r"([a-z]+)_(\d{4})\.(\w+)", r"[(a+)+]x*", r"\(a+\)+", "(a|b)x", "(ab)+", "(a{2})*"],
)
def test_ordinary_patterns_pass_and_are_quick(pattern: str) -> None:
    refuse_slow(pattern)
    started = time.perf_counter()
    map_table(parse_rules([f"regex:/{pattern}/ => x.y"]), ident(f"{'a' * 200}.{'b' * 200}"), "dst")
    assert time.perf_counter() - started < 1


def test_globs_match_as_in_selection() -> None:
    assert matches("a.*", "a.b.c")
    assert matches("a.[x]", "a.[x]")
    assert not matches("a.?", "a.bb")
