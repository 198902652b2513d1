"""Storms over a whole migration: every kind of request is refused, lost and cut; nothing is done twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from icebridge_provider.catalogs.unity.workspace import Login
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError
from icebridge_provider.model.access import GrantChange
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.steps.site import Site
from tests.support.databricks import Workspace
from tests.support.databricks_estate import Estate, simple_lake

FAULTS: tuple[dict[str, Any], ...] = (
    {"fault": "lost"},
    {"fault": 429, "retry_after": 0},
    {"fault": 503, "retry_after": 0},
    {"fault": "cut"},
)
MOST_ATTEMPTS = 3  # of one call
_NAME = re.compile(r"[0-9a-f]{8,}|\d{2,}|storm|calm|__icebridge|T\d")
_PASSED_OVER = ("/oidc/", "/.well-known/")


@dataclass(frozen=True, order=True)
class Kind:
    """A kind of request: its method, and its path with names left out."""

    method: str
    path: str

    def order(self, **fault: Any) -> dict[str, Any]:
        return {"method": self.method, "path": f"^{self.path}$", "times": 1, **fault}


def kind_of(entry: dict[str, Any]) -> Kind:
    segments = [("[^/]+" if _NAME.search(part) else re.escape(part)) for part in entry["path"].split("/")]
    return Kind(entry["method"], "/".join(segments))


def kinds(entries: list[dict[str, Any]], copier: str) -> set[Kind]:
    """What the copier asks for, sign-in and discovery apart: the SDK has its own ways with those."""
    mine = [entry for entry in entries if entry["principal"] == copier]
    return {kind_of(entry) for entry in mine if not entry["path"].startswith(_PASSED_OVER)}


def migrate(estate: Estate, plan_id: str) -> set[str]:
    """Plan, copy, prove, cut over; return the runs that copied, as the ledger has them."""
    plan = estate.plan(plan_id, "lake.*")
    estate.start(plan)
    for step in ("copy", "validate", "sync"):
        estate.each(step, plan)
    estate.cut_over(plan, estate.certify(plan))
    assert set(estate.states(plan).values()) == {"cut over"}
    return {str(state.copy["run_id"]) for state in estate.ledger.states(plan_id)}


def estate_of(server: Workspace, folder: Path, mark: str, *tables: str) -> Estate:
    (folder / mark).mkdir()
    made = Estate(server=server, folder=folder / mark, mark=mark)
    simple_lake(made.folder, tables)
    made.federate()
    made.reader(f"reader-{mark}", *(f"lake.{table}" for table in tables))
    return made


@pytest.fixture(scope="module")
def rehearsed(databricks: Workspace, tmp_path_factory: pytest.TempPathFactory) -> set[Kind]:
    """Kinds of requests of a migration, and of its rollback, in calm weather."""
    made = estate_of(databricks, tmp_path_factory.mktemp("calm"), "calm", "t1")
    databricks.forget_requests()
    migrate(made, "calm")
    made.each("rollback", made.ledger.plan("calm"))
    return kinds(databricks.requests(), made.copier)


@pytest.fixture(autouse=True)
def calm(databricks: Workspace) -> Iterator[None]:
    yield
    databricks.calm()


@pytest.fixture(scope="module")
def storm(databricks: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Estate:
    made = estate_of(databricks, tmp_path_factory.mktemp("storm"), "storm", "t1", "t2")
    secret = databricks.client(made.copier, lifetime_seconds=4)
    made.login, made.retries = Login(client_id=secret[0], client_secret=secret[1]), 60
    return made


def test_a_storm_over_every_kind_of_request_does_nothing_twice(storm: Estate, rehearsed: set[Kind]) -> None:
    server, copier = storm.server, storm.copier
    assert len(rehearsed) > 15
    server.forget_requests()
    server.order("POST", "/faults", [kind.order(**fault) for kind in rehearsed for fault in FAULTS])
    runs = migrate(storm, "storm")
    assert {str(run["run_id"]) for run in storm.runs()} == runs
    assert len(runs) == 1, "one run for both tables, whatever was lost"
    assert storm.tables_in("lake") == ["t1", "t2"], "every table once, under its final name"
    assert storm.rows("reader-storm", f"{storm.main}.lake.t1") == 100
    assert "TABLE_OR_VIEW_NOT_FOUND" in str(storm.rows("reader-storm", f"{storm.lake}.lake.t1"))
    storm.each("rollback", storm.ledger.plan("storm"))
    assert storm.rows("reader-storm", f"{storm.lake}.lake.t1") == 100
    assert len(storm.tables_in("lake")) == 2
    seen = Counter((kind_of(entry), entry["status"]) for entry in server.requests() if entry["principal"] == copier)
    spoilt = {kind for kind, status in seen if status in {0, 429, 503}}
    assert spoilt >= rehearsed, f"spared: {rehearsed - spoilt}"
    assert len(storm.tried) <= 2 * len(rehearsed), "a task is tried again only for what it was refused"


def reads(site: Site) -> object:
    return site.target.namespaces()


def changes_grants(site: Site) -> object:
    assert site.target.access is not None
    change = GrantChange(principal="reader-storm", add=("MODIFY",))
    return site.target.access.change(staged(site), [change])


def renames(site: Site) -> object:
    return site.target.rename(staged(site), "t1_elsewhere")


def staged(site: Site) -> TableIdentifier:
    return next(table for table in site.target.tables(("lake",)) if table.name.startswith("t1"))


@pytest.mark.parametrize(
    ("call", "method", "path"),
    [
        (reads, "GET", "/unity-catalog/schemas"),
        (changes_grants, "PATCH", "/permissions/table/"),
        (renames, "POST", "/sql/statements"),
    ],
)
def test_a_call_is_given_up_after_three_attempts(
    storm: Estate, rehearsed: set[Kind], call: Callable[[Site], object], method: str, path: str
) -> None:
    if not storm.tables_in("lake"):
        pytest.fail("the storm left no table")
    site = storm.site()
    storm.server.order("POST", "/faults", [{"fault": 503, "path": path, "method": method, "times": -1}])
    storm.server.forget_requests()
    with pytest.raises(TransientError):
        call(site)
    asked = [entry for entry in storm.server.requests(path) if entry["method"] == method]
    assert 0 < len(asked) <= MOST_ATTEMPTS**2, "three times by the call, three by whoever looks for its effect"


@dataclass(kw_only=True)
class Expiring(Estate):
    """Every task begins with a token that the workspace does not take any more, though its time is not over."""

    def site(self) -> Site:
        made = super().site()
        made.target.namespaces()
        self.server.expire(self.copier)
        return made


def test_tokens_that_are_refused_before_their_time_are_renewed(storm: Estate, rehearsed: set[Kind]) -> None:
    plan = storm.ledger.plan("storm")
    assert storm.login is not None
    made = Expiring(server=storm.server, folder=storm.folder, mark=storm.mark)
    secret = storm.server.client(storm.copier, lifetime_seconds=3600)
    made.login = Login(client_id=secret[0], client_secret=secret[1])
    storm.server.forget_requests()
    migrate(made, "storm2")
    refused = [entry for entry in storm.server.requests() if entry["status"] == 401]
    assert made.tried == []
    assert 6 <= len(refused) <= 20, "one request a task, and one for each client in it"
    assert len(made.runs()) == 2
    assert len(plan.tables) == 2


def test_a_personal_token_cannot_be_renewed_and_that_is_said(storm: Estate) -> None:
    made = Expiring(server=storm.server, folder=storm.folder, mark=storm.mark)
    with pytest.raises(ConfigurationError, match="IB-242") as caught:
        made.site().target.namespaces()
    assert isinstance(caught.value, IceBridgeError)
    assert not caught.value.retryable
