"""Who may export where: external locations, grants, groups, read-only ones, overlaps, a warehouse's own profile."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from icebridge_provider.engines.databricks.export_rights import check_export, shown_rights
from icebridge_provider.exceptions import ConfigurationError, TransientError, ValidationFailed
from icebridge_provider.model.running import Answer
from icebridge_provider.model.snowflake import Statement
from icebridge_provider.planning.unity_facts import Told
from icebridge_provider.sql import snowflake_export as sql
from tests.support.exports import Exports


@pytest.fixture(autouse=True)
def calm(exports: Exports) -> Iterator[None]:
    yield
    exports.server.calm()
    exports.server.order("PATCH", "/exports", {"instance_profile": False, "any_file": []})
    exports.server.order("DELETE", "/exports/faults")


@pytest.fixture
def someone(exports: Exports) -> str:
    return exports.server.principal(f"someone-{uuid4().hex[:6]}", service=True)


def refused(exports: Exports, location: str, principal: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        check_export(location, exports.runner(principal), exports.locations(principal))
    return caught.value


def test_whoever_may_write_and_read_is_told_so(exports: Exports) -> None:
    location = f"{exports.root}/probe"
    shown = shown_rights(location, exports.locations())
    assert (shown.covering, shown.write, shown.read, shown.probed) == (exports.location, Told.YES, Told.YES, False)
    found = check_export(location, exports.runner(), exports.locations())
    assert (found.covering, found.write, found.read, found.probed) == (exports.location, Told.YES, Told.YES, True)
    assert found.remedy == ""
    assert exports.table(location).to_pylist() == [{"probe": 1}]


@pytest.mark.parametrize(
    ("has", "missing"),
    [((), "WRITE FILES, READ FILES"), (("READ_FILES",), "WRITE FILES"), (("WRITE_FILES",), "READ FILES")],
)
def test_what_is_missing_is_named_and_granting_it_helps(
    exports: Exports, someone: str, has: tuple[str, ...], missing: str
) -> None:
    location = f"{exports.root}/{someone}"
    if has:
        exports.grant(*has, principal=someone)
    error = refused(exports, location, someone)
    assert error.code == "IB-915"
    lacks = "READ FILES" if has == ("WRITE_FILES",) else "WRITE FILES"
    assert f"User does not have {lacks} on External Location '{exports.location}'" in error.message
    if not has:  # it is not shown the location, so cannot be told its name
        assert "CREATE EXTERNAL LOCATION" in error.remedy
        exports.grant("BROWSE", principal=someone)
        error = refused(exports, location, someone)
    statement = re.search(r"Run in Databricks: (GRANT .*)\.$", error.remedy)
    assert statement is not None
    assert statement[1] == f"GRANT {missing} ON EXTERNAL LOCATION `{exports.location}` TO `{someone}`"
    exports.estate.sql(statement[1])
    assert check_export(location, exports.runner(someone), exports.locations(someone)).probed


@pytest.mark.parametrize("how", ["group", "all", "owner"])
def test_rights_come_by_groups_all_privileges_and_owning(exports: Exports, someone: str, how: str) -> None:
    name, location = f"own_{uuid4().hex[:6]}", f"{exports.root}/{someone}"
    if how == "group":
        exports.server.order("POST", "/groups", {"name": f"group-{someone}", "members": [someone]})
        exports.grant("WRITE_FILES", "READ_FILES", principal=f"group-{someone}")
    elif how == "all":
        exports.grant("ALL_PRIVILEGES", principal=someone)
    else:
        location = exports.made_location(name, someone) + "/x"
        exports.server.sdk().external_locations.update(name, owner=someone)
    shown = shown_rights(location, exports.locations(someone))
    assert (shown.write, shown.read, shown.remedy) == (Told.YES, Told.YES, "")
    assert check_export(location, exports.runner(someone), exports.locations(someone)).probed


def test_a_read_only_location_is_told(exports: Exports) -> None:
    name = f"read_only_{exports.estate.mark}"
    url = exports.made_location(name, "ro", read_only=True)
    exports.grant("WRITE_FILES", "READ_FILES", location=name)
    shown = shown_rights(f"{url}/x", exports.locations())
    assert (shown.write, shown.read) == (Told.NO, Told.YES)
    error = refused(exports, f"{url}/x", exports.exporter)
    assert error.code == "IB-915"
    assert error.remedy.startswith(f"Turn off read-only in the settings of the external location {name}")


def test_no_location_and_no_instance_profile(exports: Exports) -> None:
    error = refused(exports, "s3://bucket/nobodys/x", exports.exporter)
    assert (error.code, error.facts["external_location"]) == ("IB-915", "")
    assert "NO_PARENT_EXTERNAL_LOCATION_FOR_PATH" in error.message
    assert "URL 's3://bucket/' WITH (STORAGE CREDENTIAL `your_credential`)" in error.remedy
    assert f"GRANT SELECT, MODIFY ON ANY FILE TO `{exports.exporter}`" in error.remedy


def test_a_folder_beside_a_location_is_not_in_it(exports: Exports) -> None:
    shown = shown_rights(f"{exports.root}x/y", exports.locations())
    assert (shown.covering, shown.write) == ("", Told.UNKNOWN)
    assert refused(exports, f"{exports.root}x/y", exports.exporter).code == "IB-915"


def test_the_instance_profile_of_a_warehouse_is_enough(exports: Exports) -> None:
    """Grants say nothing of it: only the probe tells."""
    exports.server.order("PATCH", "/exports", {"instance_profile": True})
    location = f"s3://bucket/legacy-{exports.estate.mark}/x"
    error = refused(exports, location, exports.exporter)
    assert "MODIFY on any file" in error.message
    assert "ANY FILE" in error.remedy
    exports.server.order("PATCH", "/exports", {"any_file": [exports.exporter]})
    assert shown_rights(location, exports.locations()).write is Told.UNKNOWN
    found = check_export(location, exports.runner(), exports.locations())
    assert (found.covering, found.write, found.read, found.probed) == ("", Told.YES, Told.YES, True)


def test_a_bucket_that_refuses_is_not_taken_for_a_missing_grant(exports: Exports) -> None:
    fault = {"kind": "fail", "error_class": "DELTA_STORAGE", "message": "S3 403 AccessDenied: not authorized"}
    exports.server.order("POST", "/exports/faults", [fault])
    error = refused(exports, f"{exports.root}/bucket", exports.exporter)
    assert error.code == "IB-918"
    assert "storage credential" in error.remedy
    assert error.facts["external_location"] == exports.location


def test_paths_of_tables_are_reached_by_their_names(exports: Exports) -> None:
    body = {
        "full_name": f"{exports.estate.main}.sales.external", "table_type": "EXTERNAL", "data_source_format": "PARQUET",
        "storage_location": f"{exports.root}/tables/t",
    }  # fmt: skip
    exports.server.order("POST", "/tables", body)
    for folder in ("tables/t/x", "tables"):
        error = refused(exports, f"{exports.root}/{folder}", exports.exporter)
        assert "LOCATION_OVERLAP" in error.message


def test_a_workspace_that_is_away_is_no_refusal(exports: Exports) -> None:
    exports.server.fail(503, path="/api/2.0/sql/statements", times=-1, retry_after=0)
    with pytest.raises(TransientError):
        check_export(f"{exports.root}/away", exports.runner(), exports.locations())
    exports.server.calm()
    exports.server.fail(503, path="/external-locations", times=-1, retry_after=0)
    with pytest.raises(TransientError):
        shown_rights(f"{exports.root}/away", exports.locations())


@pytest.mark.parametrize("path", ["/external-locations", "/effective-permissions"])
def test_rights_that_may_not_be_asked_are_unknown(exports: Exports, path: str) -> None:
    exports.server.fail(403, path=path, error_code="PERMISSION_DENIED", message="not for you")
    shown = shown_rights(f"{exports.root}/x", exports.locations())
    assert (shown.write, shown.read) == (Told.UNKNOWN, Told.UNKNOWN)
    assert shown.remedy


def test_another_row_than_was_written_is_refused(exports: Exports) -> None:
    class Other:
        """A runner that reads what somebody else wrote meanwhile."""

        name = "prod"

        def __init__(self, run: Callable[..., Answer]) -> None:
            self._run = run

        def run(self, what: str, statement: Statement, tag: str = "") -> Answer:
            if statement.text.startswith("SELECT"):
                exports.estate.sql(f"INSERT OVERWRITE DIRECTORY '{location}' USING PARQUET SELECT 2 AS probe")
            return self._run(what, statement, tag)

        start = find = look = answer = cancel = None

    location = f"{exports.root}/other"
    with pytest.raises(ValidationFailed) as caught:
        check_export(location, Other(exports.runner().run), exports.locations())  # type: ignore[arg-type]
    assert caught.value.code == "IB-917"


def test_reading_wants_a_right_of_its_own(exports: Exports, someone: str) -> None:
    exports.runner().run("write it", exports.one_row("private"))
    with pytest.raises(ConfigurationError) as caught:
        exports.runner(someone).run("read it", Statement(text=sql.read_probe(f"{exports.root}/private")))
    assert caught.value.code == "IB-241"
    assert caught.value.facts["right"] == "READ FILES"
