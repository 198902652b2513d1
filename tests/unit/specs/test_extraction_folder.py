"""A folder gives queries and countries under safe names, and nothing from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.query import Kind, Parameter
from icebridge_provider.specs.extraction import read_folder
from icebridge_provider.specs.parameters import country
from icebridge_provider.specs.yaml import parse_yaml


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "queries/b.sql", "SELECT 1 AS a")
    write(tmp_path, "queries/a/x.sql", "SELECT {factor} FROM t")
    write(tmp_path, "config/common_params.yaml", "factor: factor_rw1 as factor_rw\n")
    write(tmp_path, "config/Peru.yaml", "database: P\n")
    write(
        tmp_path, "config/Colombia.yaml", "country_code: CO\ntables:\n  purchases_table: J_AtosCompra_CO\nfactor: one\n"
    )
    return tmp_path


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_queries_and_countries_come_in_order(folder: Path) -> None:
    write(folder, "queries/README.md", "no query")
    write(folder, "queries/.git/x.sql", "no query")
    write(folder, "config/permissions.yaml", "users: []")
    write(folder, "config/syncs.yaml", "syncs: []")
    write(folder, "queries/C.SQL", "SELECT 1 AS a")
    found = read_folder(folder)
    assert [query.name for query in found.queries] == ["C", "a/x", "b"]
    assert found.queries[1].file == "queries/a/x.sql"
    assert [item.name for item in found.countries] == ["Colombia", "Peru"]
    assert found.countries[0].values == {
        "factor": Parameter(value="one", place="config/Colombia.yaml:4:9"),
        "country_code": Parameter(value="CO", place="config/Colombia.yaml:1:15"),
        "tables.purchases_table": Parameter(value="J_AtosCompra_CO", place="config/Colombia.yaml:3:20"),
    }
    assert found.countries[1].values["factor"].place == "config/common_params.yaml:1:9"


def test_a_folder_without_common_parameters_is_one_too(folder: Path) -> None:
    (folder / "config/common_params.yaml").unlink()
    assert [item.name for item in read_folder(folder).countries] == ["Colombia", "Peru"]


def test_links_are_refused_wherever_they_lead(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = write(tmp_path_factory.mktemp("outside"), "secret.sql", "SELECT 1 AS secret")
    for link, target in (
        ("queries/s.sql", outside),
        ("queries/d", outside.parent),
        ("queries/i.sql", folder / "queries/b.sql"),
        ("config/X.yaml", outside),
        ("queries/none.sql", Path("/nowhere")),
    ):
        (folder / link).symlink_to(target)
        with pytest.raises(ConfigurationError, match="symbolic link") as caught:
            read_folder(folder)
        assert caught.value.code == "IB-805"
        assert link in caught.value.message
        (folder / link).unlink()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("queries/a b.sql", "cannot be a folder's name"),
        ("queries/ä.sql", "cannot be a folder's name"),
        ("queries/..x.sql", ""),
        ("queries/a%2e.sql", "cannot be a folder's name"),
        ("queries/con.sql", "cannot be a folder's name"),
        ("queries/x.y.sql", "cannot be a folder's name"),
        ("queries/a\\b.sql", "cannot be a folder's name"),
        ("queries/-a.sql", "cannot be a folder's name"),
        ("queries/_a/b.sql", "cannot be a folder's name"),
        ("queries/B.sql", "upper and lower case only"),
        ("queries/b/c.sql", "its folder has the name of queries/b.sql"),
        ("queries/" + "d/" * 9 + "x.sql", "more than 8 levels"),
        ("config/X.yml", "end in .yaml"),
        ("config/peru.yaml", "upper and lower case only"),
        ("queries/" + "n" * 101 + ".sql", "cannot be a folder's name"),
    ],
)
def test_names_that_cannot_be_a_folders_are_refused(folder: Path, name: str, why: str) -> None:
    write(folder, name, "SELECT 1 AS a")
    if not why:
        assert len(read_folder(folder).queries) == 2
        return
    with pytest.raises(ConfigurationError) as caught:
        read_folder(folder)
    assert caught.value.code == "IB-805"
    assert why in caught.value.message


def test_sizes_and_counts_have_bounds(folder: Path) -> None:
    large = write(folder, "queries/large.sql", "SELECT 1 AS a --" + "x" * (256 << 10))
    with pytest.raises(ConfigurationError, match="more than 262,144 bytes"):
        read_folder(folder)
    large.unlink()
    for number in range(999):
        (folder / f"queries/q{number}.sql").write_text("SELECT 1 AS a")
    with pytest.raises(ConfigurationError, match="more than 1,000 files"):
        read_folder(folder)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    for make, why in (
        (lambda: None, "no such folder"),
        ((tmp_path / "queries").mkdir, "there is no .sql file"),
        (lambda: write(tmp_path, "queries/a.sql", "SELECT 1 AS a"), "config cannot be used: there is no such folder"),
        (lambda: write(tmp_path, "config/common_params.yaml", ""), "there is no {country}.yaml"),
    ):
        make()
        with pytest.raises(ConfigurationError) as caught:
            read_folder(tmp_path)
        assert why in caught.value.message


def merged(common: str, own: str) -> dict[str, object]:
    found = country("X", parse_yaml(common.encode(), "c"), parse_yaml(own.encode(), "x"))
    return {path: item.value for path, item in found.values.items()}


def test_the_country_wins_deep_in_groups_and_lists_are_replaced() -> None:
    assert merged("a: 1\nt: {x: 1, y: 2, z: {q: 1}}\nl: [1, 2]", "t: {y: 3, z: {r: 2}}\nl: [5]\nb: ~") == {
        "a": 1,
        "t.x": 1,
        "t.y": 3,
        "t.z.q": 1,
        "t.z.r": 2,
        "l": [5],
        "b": None,
    }
    assert merged("", "") == {}


def test_kinds_are_said_in_either_file() -> None:
    found = country(
        "X",
        parse_yaml(b"kinds: {a: expression, b: literal}\na: x", "c"),
        parse_yaml(b"kinds: {b: identifier}\nb: y", "x"),
    )
    assert {path: item.kind for path, item in found.values.items()} == {"a": Kind.EXPRESSION, "b": Kind.IDENTIFIER}


@pytest.mark.parametrize(
    ("common", "own", "message"),
    [
        ("- a", "", "c:1:1: the file is no mapping"),
        ("", "a-b: 1", "x:1:1: 'a-b' is no name"),
        ("", "t: {1a: 1}", "x:1:5: '1a' is no name"),
        ("t: 1", "t: {x: 1}", "x:1:8: t is a group here and a value in c:1:4"),
        ("t: {x: 1}", "t: 1", "c:1:8: t is a group here and a value in x:1:4"),
        ("l: []", "", "c:1:4: a list has 1 to 1000 items, this one 0"),
        ("l: [1, a]", "", "c:1:8: items of a list"),
        ("l: [[1]]", "", "c:1:5: items of a list"),
        ("l: [~]", "", "c:1:5: items of a list"),
        ("kinds: 1", "", "c:1:8: kinds is a mapping"),
        ("a: 1\nkinds: {a: column}", "", "c:2:12: kinds are literal"),
        ("kinds: {b: literal}", "", "c:1:9: there is no parameter 'b'"),
        ("l: [" + "1, " * 1000 + "1]", "", "this one 1001"),
    ],
)
def test_parameters_that_cannot_be_are_named_with_their_place(common: str, own: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        merged(common, own)
    assert caught.value.code == "IB-802"
    assert message in caught.value.message
