"""Shares are planned on the stand-in account and a local source: what fits is kept once, what does not is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, PreflightFailed, TransientError
from icebridge_provider.model.event import Outcome, Step
from icebridge_provider.model.share import SHARE, Share
from icebridge_provider.model.snowflake import Mode, SourceColumn
from icebridge_provider.planning.snowflake.requests import ShareForm, ShareRequest, read_requests
from icebridge_provider.planning.snowflake.routes import Route
from icebridge_provider.steps.share import followed
from icebridge_provider.steps.share_plan import (
    PLAN,
    caption,
    ends_of_run,
    look_at,
    plan_shares,
    share_of,
    shares_of_run,
    xcom,
)
from icebridge_provider.steps.share_preview import preview
from icebridge_provider.steps.share_routes import Use, advise_share
from icebridge_provider.steps.share_runs import run as sync_run
from icebridge_provider.steps.share_site import ShareSite
from tests.contract.snowflake.conftest import Sql
from tests.support.s3 import BUCKET
from tests.support.share_world import SourceWorld, site_of, target_of
from tests.support.snowflake import Account

COLUMNS = [SourceColumn(name="id", type="bigint"), SourceColumn(name="day", type="string")]
ROWS = pa.table({"id": [1, 2, 3], "day": ["a", "b", "c"]})


@dataclass(frozen=True, kw_only=True)
class Here:
    """A source with tables main.s.t0 … t2, a database with the stage LAND over ``s3://bucket/<database>/``."""

    account: Account
    sql: Sql
    world: SourceWorld
    site: ShareSite

    @property
    def database(self) -> str:
        return self.sql.database

    def requests(self, tables: Any = "main.s.t0", **more: Any) -> tuple[ShareRequest, ...]:
        given = {"stage": f"{self.database}.PUBLIC.LAND", "database": self.database, **more}
        if isinstance(tables, str):
            tables = tables.replace("DB.", f"{self.database}.")
        return read_requests(ShareForm(tables=tables, **given))

    def plan(self, tables: Any = "main.s.t0", run_id: str = "run-1", **more: Any) -> list[Share]:
        return plan_shares(self.site, self.requests(tables, **more), run_id)

    def refused(self, tables: Any = "main.s.t0", run_id: str = "run-1", **more: Any) -> IceBridgeError:
        with pytest.raises(IceBridgeError) as error:
            self.plan(tables, run_id, **more)
        assert self.site.ledger.document(PLAN, run_id) is None, "nothing is kept"
        assert list(self.site.ledger.documents(SHARE)) == []
        return error.value


@pytest.fixture
def here(account: Account, sql: Sql, snowflake_s3: dict[str, str], tmp_path: Path) -> Iterator[Here]:
    account.stage(sql.database, prefix=f"{sql.database}/")
    sql("CREATE SCHEMA S")
    world = SourceWorld(tmp_path / "source", snowflake_s3)
    for number in range(3):
        world.table(f"main.s.t{number}", COLUMNS, ROWS)
    with target_of(account, sql.database) as target:
        yield Here(account=account, sql=sql, world=world, site=site_of(tmp_path, world, target))


LINES = """
main.s.t0
main.s.t1 -> DB.PUBLIC.T1; mode=upsert; keys=id
main.s.t2 -> DB.PUBLIC."T 2"; mode=replace; where=id > :low and day <> 'x'; values={"low": 1}; limit=2
"""


def test_what_is_planned_is_kept_once_and_returned_again(here: Here) -> None:
    shares = here.plan(LINES)
    database = here.database
    assert [item.name for item in shares] == [
        f"main.s.t0 -> {database}.S.T0", f"main.s.t1 -> {database}.PUBLIC.T1", f"main.s.t2 -> {database}.PUBLIC.T 2"
    ]  # fmt: skip
    assert [tuple(item.columns) for item in shares] == [tuple(COLUMNS)] * 3
    assert {item.location for item in shares} == {f"s3://{BUCKET}/{database}"} == {i.place.stage_root for i in shares}
    first, second, third = shares
    assert (second.mode, second.keys) == (Mode.UPSERT, ("id",))
    assert (third.where, dict(third.values), third.limit) == ("id > :low and day <> 'x'", {"low": 1}, 2)
    assert caption(third).endswith("(replace) LIMITED: at most 2 rows, only where id > :low and day <> 'x'")
    assert xcom(first) == {"run_id": "run-1", "document": first.document, "caption": f"{first.name} (append)"}
    assert [share_of(here.site.ledger, item.document) for item in shares] == shares
    assert shares_of_run(here.site.ledger, "run-1") == shares
    assert ends_of_run(here.site.ledger, "run-1") == ("databricks", "snowflake")
    asked = len(here.world.statements())
    assert here.plan(LINES) == shares
    assert len(here.world.statements()) == asked, "the source is not asked again"
    planned = [event for event in here.site.ledger.events("run-1") if event.step is Step.PLAN]
    assert [(event.table, event.outcome) for event in planned] == [(item.name, Outcome.DONE) for item in shares]


def test_a_run_id_is_for_one_plan(here: Here) -> None:
    shares = here.plan()
    for more in ({"mode": "replace"}, {"where": "id > 1"}, {"limit": 5}, {"upper": True}):
        with pytest.raises(ConfigurationError, match="IB-927"):
            here.plan(**more)
    with pytest.raises(ConfigurationError, match="IB-927"):
        here.plan("main.s.t1")
    assert shares_of_run(here.site.ledger, "run-1") == shares
    assert here.plan(run_id="run-2")[0].run_id == "run-2"


def test_a_share_that_is_kept_with_another_digest_is_refused(here: Here) -> None:
    (share,) = here.plan(run_id="other")
    kept = replace(share, run_id="run-1", limit=9)
    from icebridge_provider.model import codec

    here.site.ledger.save_document(SHARE, kept.document, codec.to_json(kept))
    with pytest.raises(ConfigurationError, match="IB-927"):
        here.plan()


def test_a_planning_that_was_killed_is_finished_by_the_next(here: Here) -> None:
    """Killed after the plan was kept, before all shares and their events were."""
    here.plan(LINES)
    ledger = here.site.ledger
    kept = ledger.document(PLAN, "run-1")
    assert kept is not None
    fresh = "run-2"
    ledger.save_document(PLAN, fresh, {**kept, "shares": [{**item, "run_id": fresh} for item in kept["shares"]]})
    shares = here.plan(LINES, fresh)
    assert [share_of(ledger, item.document) for item in shares] == shares
    assert len([event for event in ledger.events(fresh) if event.step is Step.PLAN]) == 3


@pytest.mark.parametrize(
    ("tables", "more", "code", "said"),
    [
        ("main.s.t0", {"where": "dya > 'a'"}, "IB-903", "did you mean 'day'"),
        ("main.s.t0", {"where": "id > :low"}, "IB-903", ":low has no value"),
        ("main.s.t0", {"where": "id > 1) OR (1=1"}, "IB-903", ""),
        ("main.s.t0 -> DB.PUBLIC.T; mode=upsert; keys=nope", {}, "IB-907", "the key 'nope' is no column"),
        ("main.s.t0", {"location": "s3://elsewhere/x"}, "IB-902", "is not below"),
        ("main.s.t0", {"location": "s3://bucket/../x"}, "IB-901", "no location"),
        ("main.s.t9", {}, "IB-247", "t9"),
        ("main.s.odd", {}, "IB-905", "void"),
        ("main.s.t0 -> DB.PUBLIC.SHORT", {}, "IB-906", "cannot take every"),
        ("main.s.t0 -> DB.PUBLIC.LESS", {"add_columns": False}, "IB-906", "add_columns is off"),
        ("main.s.t0 -> DB.NOPE.T", {}, "IB-952", "NOPE"),
        ('main.s.t0 -> DB."s".T', {}, "IB-952", '"s"'),
        ("main.s.t0 -> NODB.S.T", {}, "IB-933", "NODB"),
        ("main.s.t0", {"stage": "DB.PUBLIC.NOPE"}, "IB-933", "NOPE"),
        ("main.s.t0", {"control": "DB.NOPE"}, "IB-933", "NOPE"),
    ],
)  # fmt: skip
def test_what_one_table_lacks_is_told_as_its_own_error(
    here: Here, tables: str, more: dict[str, str], code: str, said: str
) -> None:
    here.world.table("main.s.odd", [SourceColumn(name="id", type="void")], pa.table({"id": [1]}))
    here.sql('CREATE TABLE PUBLIC.SHORT ("id" NUMBER(19,0), "day" NUMBER(3,0))')
    here.sql('CREATE TABLE PUBLIC.LESS ("id" NUMBER(19,0))')
    more = {name: value.replace("DB.", f"{here.database}.") if name != "add_columns" else value
            for name, value in more.items()}  # fmt: skip
    error = here.refused(tables, **more)
    assert (error.code, error.retryable) == (code, False)
    assert said in error.message
    found = sync_run(here.site.ledger, "run-1")
    assert found is not None
    assert found.status.value == "FAILED"
    assert any(error.message[:60] in line for line in found.logs)
    if "control" not in more:
        assert not here.world.statements("INSERT OVERWRITE"), "nothing was written"


def test_all_tables_are_looked_at_before_one_is_refused(here: Here) -> None:
    error = here.refused("main.s.t0\nmain.s.t8\nmain.s.t9\nmain.s.t1 -> DB.PUBLIC.T; mode=upsert; keys=x")
    assert isinstance(error, PreflightFailed)
    assert error.code == "IB-926"
    assert "3 tables cannot be shared" in error.message
    for name in ("t8", "t9", "the key 'x' is no column"):
        assert name in error.message
    assert "t0" not in error.message


def test_after_a_refusal_the_same_run_can_be_planned(here: Here) -> None:
    here.refused("main.s.t9")
    here.world.table("main.s.t9", COLUMNS, ROWS)
    assert [item.source[2] for item in here.plan("main.s.t9")] == ["t9"]
    found = sync_run(here.site.ledger, "run-1")
    assert found is not None
    assert found.status.value == "PENDING"


def test_a_question_that_is_lost_is_asked_again_by_the_next_try(here: Here) -> None:
    here.world.order("fail", "DESCRIBE TABLE", retryable=True)
    with pytest.raises(TransientError):
        here.plan("main.s.t0\nmain.s.t1")
    assert len(here.plan("main.s.t0\nmain.s.t1")) == 2


def test_a_warehouse_that_may_not_write_is_found_before_the_export(here: Here) -> None:
    here.world.order("fail", "SELECT 1 AS probe", message="[INSUFFICIENT_PERMISSIONS] no WRITE FILES")
    assert "no WRITE FILES" in here.refused().message
    here.world.calm()
    here.world.order("fail", "SELECT probe FROM", message="no READ FILES")
    assert "no READ FILES" in here.refused().message


def test_a_stage_over_another_bucket_does_not_show_the_probe(here: Here) -> None:
    """The stage's name fits; what Databricks wrote is not what Snowflake will read."""

    def elsewhere(location: str) -> None:
        assert location.startswith(f"s3://{BUCKET}/{here.database}/runs/run-1-")

    with pytest.raises(ConfigurationError, match="IB-929"):
        plan_shares(here.site, here.requests(), "run-1", check_location=elsewhere)
    assert here.site.ledger.document(PLAN, "run-1") is None


def test_a_location_is_tried_once_for_all_tables_over_it(here: Here) -> None:
    here.plan("main.s.t0\nmain.s.t1\nmain.s.t2")
    assert len(here.world.statements("SELECT 1 AS probe")) == 1
    assert len(here.account.queries(f'"{here.database}"."PUBLIC"."ICEBRIDGE_LOADS"')) == 1


def test_two_processes_do_not_plan_one_run_at_once(here: Here) -> None:
    lease = here.site.ledger.acquire("share plan:run-1", "another", 60)
    assert lease is not None
    with pytest.raises(TransientError, match="IB-600"):
        here.plan()
    here.site.ledger.release(lease)
    assert len(here.plan()) == 1


@pytest.mark.parametrize(("run_id", "code"), [("", "IB-901"), ("x" * 251, "IB-924")])
def test_a_run_id_that_is_none_is_refused(here: Here, run_id: str, code: str) -> None:
    with pytest.raises(ConfigurationError, match=code):
        here.plan(run_id=run_id)


def test_a_run_that_was_never_planned_is_said_to_be_so(here: Here) -> None:
    for ask in (lambda: shares_of_run(here.site.ledger, "nope"), lambda: share_of(here.site.ledger, "nope/1")):
        with pytest.raises(ConfigurationError, match="IB-950"):
            ask()
    assert ends_of_run(here.site.ledger, "nope") == ("", "")


# What is only looked at


def texts(here: Here, share: Share) -> list[str]:
    return [item.statement.text for item in preview(here.site, share)]


def test_a_dry_run_shows_the_statements_that_the_run_sends(here: Here) -> None:
    requests = here.requests(LINES)
    shares = look_at(here.site, requests, "run-1")
    shown = {share.name: texts(here, share) for share in shares}
    assert not here.world.statements("INSERT OVERWRITE")
    assert here.sql("SHOW TABLES") == []
    assert list(here.site.ledger.events("run-1")) == []
    assert plan_shares(here.site, requests, "run-1") == shares
    for share in shares:
        assert followed(here.site, share, sleep=lambda _: None).rows == 2 + (share.limit is None)
        sent = {item["text"] for item in here.world.statements()} | {item["text"] for item in here.account.queries()}
        missing = [text for text in shown[share.name] if text not in sent and not varies(text)]
        assert missing == []
    assert here.sql('SELECT "id" FROM PUBLIC."T 2" ORDER BY 1') == [(2,), (3,)]
    again = [followed(here.site, share, sleep=lambda _: None) for share in plan_shares(here.site, requests, "run-1")]
    assert [item.again for item in again] == [True] * 3


def varies(text: str) -> bool:
    """Values, names of files and transactions stand otherwise in the account's log."""
    return any(part in text for part in ("%(", "FILES = (", "BEGIN", "COMMIT", "ALTER SESSION", "COMMENT ON"))


def advice(here: Here, tables: str = "main.s.t0", zero_copy: bool = False, **use: Any) -> Any:
    (share,) = look_at(here.site, here.requests(tables), "run-1")
    return advise_share(here.site, share, Use(**use), zero_copy=zero_copy)


def test_routes_name_what_nobody_could_tell(here: Here) -> None:
    """This source answers no DESCRIBE DETAIL, as that of a view."""
    report = advice(here)
    assert report.chosen.route is Route.COPY
    assert [item.partition(":")[0] for item in report.unknown] == [
        "its size", "its format", "row filters and column masks", "what a run exports", "what Snowflake's users read",
        "the regions of both accounts", "whether Snowflake reaches the Iceberg REST endpoint",
    ]  # fmt: skip
    assert any("INSERT OVERWRITE DIRECTORY" in text for text in report.chosen.statements)


def test_routes_go_by_what_a_person_says(here: Here) -> None:
    known: dict[str, Any] = {"bytes": 10**12, "changed_bytes": 10**9, "scanned_bytes": 10**10}
    report = advice(here, same_region=False, open_to_snowflake=True, volume="VOL", **known)
    assert (report.facts.bytes, report.facts.changed_bytes, report.facts.same_region) == (10**12, 10**9, False)
    assert len(report.unknown) == 2
    asked = advice(here, zero_copy=True, **known)
    assert asked.chosen.route in {Route.LINKED, Route.EXTERNAL}
    assert any("not readable as Iceberg" in why for why in asked.chosen.why_not)
    limited = advice(here, "main.s.t0; limit=5", zero_copy=True)
    assert any("a condition or a limit" in why for why in limited.chosen.why_not)
