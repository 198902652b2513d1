"""What grants say of an export's folder, and the statements that give what is missing."""

from __future__ import annotations

import pytest
import sqlglot
from sqlglot import TokenType

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.planning.snowflake.export_rights import CoveringLocation, covers, remedy, rights_shown
from icebridge_provider.planning.unity_facts import Told
from icebridge_provider.sql import databricks_locations as sql

FOLDER = "s3://bucket/exports/runs/r/t"


@pytest.mark.parametrize(
    ("url", "covered"),
    [
        ("s3://bucket/exports", True), ("s3://bucket/exports/", True), ("s3://bucket/", True), ("s3://bucket", True),
        (FOLDER, True), (f"{FOLDER}/x", False), ("s3://bucket/export", False), ("s3://bucke", False),
        ("s3://bucket/exports/runs/r/t2", False), ("gs://bucket/exports", False),
    ],
)  # fmt: skip
def test_a_folder_is_covered_by_what_is_above_it(url: str, covered: bool) -> None:
    assert covers(url, FOLDER) is covered


@pytest.mark.parametrize("write", Told)
@pytest.mark.parametrize("read", Told)
def test_three_answers(write: Told, read: Told) -> None:
    found = rights_shown(FOLDER, CoveringLocation(name="loc", url="s3://bucket/", write=write, read=read), "me")
    assert (found.covering, found.write, found.read, found.probed) == ("loc", write, read, False)
    missing = [name for name, told in (("WRITE FILES", write), ("READ FILES", read)) if told is not Told.YES]
    expected = f"Run in Databricks: GRANT {', '.join(missing)} ON EXTERNAL LOCATION `loc` TO `me`." if missing else ""
    assert found.remedy == expected


def test_nothing_shown_is_unknown_not_no() -> None:
    found = rights_shown(FOLDER, None, "")
    assert (found.covering, found.write, found.read) == ("", Told.UNKNOWN, Told.UNKNOWN)
    assert "CREATE EXTERNAL LOCATION `icebridge_exports` URL 's3://bucket/'" in found.remedy
    assert "GRANT SELECT, MODIFY ON ANY FILE TO `your principal`" in found.remedy


def test_a_read_only_location_is_a_no_whatever_is_granted() -> None:
    there = CoveringLocation(name="loc", url="s3://bucket/", write=Told.YES, read=Told.YES, read_only=True)
    found = rights_shown(FOLDER, there, "me")
    assert (found.write, found.read) == (Told.NO, Told.YES)
    assert "read-only" in found.remedy
    assert "GRANT" not in found.remedy


@pytest.mark.parametrize("name", ["it`s; DROP", "a b", "ü.x", "x' --", "`", "a``b"])
def test_names_stay_names(name: str) -> None:
    text = remedy(FOLDER, CoveringLocation(name=name, url="s3://bucket/"), name)
    quoted = "`" + name.replace("`", "``") + "`"
    assert text == f"Run in Databricks: GRANT WRITE FILES, READ FILES ON EXTERNAL LOCATION {quoted} TO {quoted}."
    assert sql.grant_any_file(name) == f"GRANT SELECT, MODIFY ON ANY FILE TO {quoted}"
    made = sql.create_location(name, f"s3://bucket/{name}", name)
    texts = [one.text for one in sqlglot.tokenize(made, read="databricks") if one.token_type is TokenType.STRING]
    assert texts == [f"s3://bucket/{name}"]
    assert made.startswith(f"CREATE EXTERNAL LOCATION {quoted} URL ")
    assert made.endswith(f" WITH (STORAGE CREDENTIAL {quoted})")


def test_what_cannot_be_a_name_is_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        remedy(FOLDER, CoveringLocation(name="a\nb", url="s3://bucket/"), "me")
    assert caught.value.code == "IB-246"
