"""Certificates, cut-over and rollback between catalogs that keep privileges (random worlds: tests/crash)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from icebridge_provider.exceptions import ValidationFailed
from icebridge_provider.model.event import Outcome, State, Step
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.state.signing import sealed
from icebridge_provider.steps.certify import certify_wave
from icebridge_provider.steps.cut_over import cut_over_table
from icebridge_provider.steps.rollback import rollback_table
from tests.crash.privilege_random import give, random_world, take
from tests.crash.privilege_world import SOURCE_NAME, STAGED_NAME, TARGET_NAME, World
from tests.crash.privileges import PLAN, PLAN_ID, TABLE, Run, empty_ledger
from tests.peers.databricks.model import Policing


def calm(*readers: str) -> World:
    """A world without surprises in which ``readers`` read the source by grants of their own."""
    world = random_world(0, troubles=0)
    state = world.state
    state.grants.clear()
    state.policies.clear()
    for name in (SOURCE_NAME, STAGED_NAME):
        row = state.tables[name]
        row.row_filter, row.tags, row.comment = None, {}, ""
        for column in row.columns:
            column.mask = None
    state.tables[SOURCE_NAME].owner = "copier"
    world.foreign, world.read_only = True, False
    for side in "fm":
        state.catalogs[side].owner = "admin"
        give(state, "CATALOG", side, "account users", "USE_CATALOG", "USE_SCHEMA")
    give(state, "TABLE", SOURCE_NAME, "copier", "MANAGE", "SELECT")
    for reader in readers:
        give(state, "TABLE", SOURCE_NAME, reader, "SELECT")
    return world


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    empty_ledger(tmp_path)
    return tmp_path


def begun(folder: Path, world: World, *, certify: bool = True) -> Run:
    run = Run(world=world, ledger=SqlLedger(f"sqlite:///{folder}/empty.db"), digest="")
    if certify:
        run.digest = str(certify_wave(run.site, PLAN, PLAN.tables)["digest"])
    return run


def state_of(run: Run) -> Any:
    return run.ledger.state(PLAN_ID, str(TABLE.source))


def applied(run: Run) -> list[str]:
    return [action["action"] for action in state_of(run).applied]


def test_readers_are_granted_before_and_revoked_after_the_switch(folder: Path) -> None:
    run = begun(folder, calm("ann", "analysts"))
    run.cut_over()
    assert applied(run) == ["grant", "publish", "revoke", "instruct"]
    assert run.world.grants_on(TARGET_NAME) == {"analysts": {"SELECT"}, "ann": {"SELECT"}}
    assert run.world.grants_on(SOURCE_NAME) == {"copier": {"MANAGE", "SELECT"}}
    assert run.oracle.said == []


def test_every_grant_of_a_table_is_one_change(folder: Path) -> None:
    run = begun(folder, calm("ann", "bob", "cy", "analysts"))
    before = run.oracle.looks
    run.cut_over()
    assert run.oracle.looks - before == 4  # granted, published, revoked, and the oracle's own look at the end


def test_nobody_to_move_means_no_grants_to_change(folder: Path) -> None:
    run = begun(folder, calm())
    run.cut_over()
    assert applied(run) == ["publish", "instruct"]


def test_the_certificate_says_who_read_before_and_who_reads_after(folder: Path) -> None:
    run = begun(folder, calm("ann"))
    proposed = run.ledger.document("proposal", f"{PLAN_ID}/{TABLE.source}")
    assert proposed is not None
    assert "grants" not in proposed["certificate"]
    assert readers(proposed, "before") == {"source": {"ann", "copier"}, "target": set()}
    assert readers(proposed, "after") == {"source": {"copier"}, "target": {"ann"}}
    run.cut_over()
    final = run.ledger.document("certificate", f"{PLAN_ID}/{TABLE.source}")
    assert final is not None
    assert readers(final, "after") == {"source": {"copier"}, "target": {"ann"}}
    assert final["certificate"]["access"]["after"]["target"]["table"] == TARGET_NAME
    assert final["certificate"]["access"]["before"] == proposed["certificate"]["access"]["before"]


def readers(document: dict[str, Any], when: str) -> dict[str, set[str]]:
    access = document["certificate"]["access"][when]
    return {
        side: {grant["principal"] for grant in access[side]["grants"] if grant["privilege"] == "SELECT"}
        for side in ("source", "target")
    }


def test_a_mask_on_a_column_called_password_is_certified_as_it_is(folder: Path) -> None:
    world = calm("ann")
    world.state.tables[SOURCE_NAME].columns[1].mask = Policing(function_name="m.gov.stars", columns=("id",))
    run = begun(folder, world)
    proposed = run.ledger.document("proposal", f"{PLAN_ID}/{TABLE.source}")
    assert proposed is not None
    recorded = proposed["certificate"]["access"]["after"]["target"]["masks"]
    limit = {"function": "m.gov.stars", "columns": ["id"], "constants": []}
    assert recorded == [{"column": "password", "limit": limit}]
    run.cut_over()
    assert applied(run) == ["protect", "grant", "publish", "revoke", "instruct"]
    assert world.state.tables[TARGET_NAME].columns[1].mask == world.state.tables[SOURCE_NAME].columns[1].mask
    run.roll_back()
    assert run.oracle.said == []


def test_a_rollback_leaves_masks_on_a_copy_that_somebody_reads(folder: Path) -> None:
    world = calm("ann")
    world.state.tables[SOURCE_NAME].columns[1].mask = Policing(function_name="m.gov.stars")
    run = begun(folder, world)
    run.cut_over()
    give(world.state, "TABLE", TARGET_NAME, "eve", "SELECT")
    done = rollback_table(run.site, PLAN, TABLE)
    assert done["protected"] == ["mask m.gov.stars() of column password"]
    assert done["kept"] == str(TABLE.staged)
    assert world.sees("eve", "uuid-copy") == ((), (("password", ("m.gov.stars", ())),))


def test_a_copy_that_was_written_after_its_masks_were_put_on_is_not_published(folder: Path) -> None:
    world = calm("ann")
    world.state.tables[SOURCE_NAME].columns[1].mask = Policing(function_name="m.gov.stars")
    run = begun(folder, world)
    real = run.world.changed

    def somebody() -> None:
        real()
        run.world.changed = real
        world.files[STAGED_NAME] = {**world.files[STAGED_NAME], "at": "another.metadata.json"}

    run.world.changed = somebody
    with pytest.raises(ValidationFailed, match=r"IB-605.*another.metadata.json"):
        run.cut_over()
    assert (world.name_of("uuid-copy"), world.withholds(STAGED_NAME)) == (STAGED_NAME, False)


def test_a_copy_with_a_mask_before_its_proof_is_refused_by_name(folder: Path) -> None:
    world = calm("ann")
    world.state.tables[STAGED_NAME].columns[1].mask = Policing(function_name="m.gov.stars")
    run = begun(folder, world, certify=False)
    with pytest.raises(ValidationFailed, match="IB-638"):
        certify_wave(run.site, PLAN, PLAN.tables)


def test_who_is_in_which_group_is_asked_when_it_matters(folder: Path) -> None:
    world = calm("ann")
    world.tells_groups = True
    world.state.groups["analysts"] = {"ann"}
    take(world.state, "CATALOG", "m", "account users")
    give(world.state, "CATALOG", "m", "analysts", "USE_CATALOG", "USE_SCHEMA")
    run = begun(folder, world)
    world.state.groups["analysts"].clear()
    with pytest.raises(ValidationFailed, match=r"IB-632.*way in ann in analysts is gone"):
        run.cut_over()
    world.state.groups["analysts"] = {"ann"}
    run.cut_over()
    assert run.oracle.said == []


def test_certifying_again_gives_the_same_digest_and_another_one_when_access_changed(folder: Path) -> None:
    run = begun(folder, calm("ann"))
    assert certify_wave(run.site, PLAN, PLAN.tables)["digest"] == run.digest
    give(run.world.state, "TABLE", SOURCE_NAME, "bob", "SELECT")
    assert certify_wave(run.site, PLAN, PLAN.tables)["digest"] != run.digest


def test_what_would_change_who_reads_is_refused_with_all_reasons(folder: Path) -> None:
    world = calm("ann")
    give(world.state, "SCHEMA", "f.s", "bob", "SELECT")
    take(world.state, "CATALOG", "m", "account users")
    run = begun(folder, world, certify=False)
    with pytest.raises(ValidationFailed, match="IB-631") as caught:
        certify_wave(run.site, PLAN, PLAN.tables)
    assert caught.value.facts["refusals"] == 3
    assert "REVOKE SELECT ON SCHEMA `f`.`s` FROM `bob`" in str(caught.value)
    assert "GRANT USE SCHEMA ON SCHEMA `m`.`s` TO `ann`" in str(caught.value)
    assert state_of(run).state is State.VALIDATED


@pytest.mark.parametrize("side", [SOURCE_NAME, STAGED_NAME])
def test_a_change_after_the_certificate_stops_it_before_anything_is_done(folder: Path, side: str) -> None:
    run = begun(folder, calm("ann"))
    give(run.world.state, "TABLE", side, "eve", "SELECT")
    with pytest.raises(ValidationFailed, match=f"IB-632.*{side}: grant SELECT to eve is new"):
        run.cut_over()
    assert applied(run) == []
    assert list(run.ledger.events(PLAN_ID, str(TABLE.source)))[-1].step is Step.CERTIFY
    assert run.world.grants_on(STAGED_NAME).get("ann") is None


def test_a_change_after_the_grant_takes_everything_back(folder: Path) -> None:
    run = begun(folder, calm("ann"))
    real = run.world.changed

    def somebody() -> None:
        real()
        run.world.changed = real
        give(run.world.state, "TABLE", SOURCE_NAME, "eve", "SELECT")

    run.world.changed = somebody
    with pytest.raises(ValidationFailed, match="IB-632"):
        run.cut_over()
    assert run.world.grants_on(STAGED_NAME) == {}
    assert run.world.grants_on(SOURCE_NAME)["eve"] == {"SELECT"}
    assert state_of(run).state is State.VALIDATED


def test_grants_of_a_read_only_connection_are_left_to_the_owner_in_words(folder: Path) -> None:
    world = calm("ann")
    world.read_only = True
    run = begun(folder, world)
    done = cut_over_table(run.site, PLAN, TABLE, run.digest, "ada", True)
    assert "REVOKE SELECT ON TABLE `f`.`s`.`t` FROM `ann`; rename it to t__archived_20260110" in done["instruction"]
    assert applied(run) == ["grant", "publish", "instruct"]
    assert run.world.grants_on(SOURCE_NAME)["ann"] == {"SELECT"}


def test_a_copy_that_was_exchanged_before_the_grant_gets_none(folder: Path) -> None:
    run = begun(folder, calm("ann"))
    site = run.site

    def exchanged() -> None:
        run.world.files[STAGED_NAME] = {**run.world.files[STAGED_NAME], "table-uuid": "another"}

    with pytest.raises(ValidationFailed, match="IB-625"):
        cut_over_table(replace(site, take_commit=exchanged), PLAN, TABLE, run.digest, "ada", True)
    assert run.world.grants_on(STAGED_NAME) == {}


def test_the_old_owner_is_granted_the_new_table_when_it_may_enter(folder: Path) -> None:
    world = calm("ann")
    world.state.tables[SOURCE_NAME].owner = "admin"
    run = begun(folder, world)
    run.cut_over()
    assert run.world.grants_on(TARGET_NAME) == {"admin": {"SELECT"}, "ann": {"SELECT"}}


def test_a_rollback_restores_grants_before_names_and_says_who_is_gone(folder: Path) -> None:
    run = begun(folder, calm("ann", "bob"))
    run.cut_over()
    run.oracle.gone("bob")
    done = rollback_table(run.site, PLAN, TABLE)
    assert done["undone"] == ["instruct", "revoke", "publish", "grant"]
    assert done["without"] == ["bob"]
    assert run.world.grants_on(SOURCE_NAME) == {"copier": {"MANAGE", "SELECT"}, "ann": {"SELECT"}}
    undone = run.ledger.events(PLAN_ID, str(TABLE.source))
    assert any(event.data.get("without") == ["bob"] for event in undone if event.outcome is Outcome.UNDONE)


def test_catalogs_that_keep_privileges_now_and_did_not_when_certified_are_refused(folder: Path) -> None:
    run = begun(folder, calm("ann"))
    key = f"{PLAN_ID}/{TABLE.source}"
    proposal = run.ledger.document("proposal", key)
    assert proposal is not None
    del proposal["certificate"]["access"]
    document = sealed(proposal["certificate"], None)
    run.ledger.save_document("proposal", key, document)
    digest = str(document["digest"])
    run.site.record(PLAN_ID, str(TABLE.source), Step.CERTIFY, Outcome.DONE, {"digest": digest})
    run.ledger.save_document("certificate_set", f"{PLAN_ID}/x", {"tables": {str(TABLE.source): digest}})
    with pytest.raises(ValidationFailed, match=r"IB-632.*the certificate knows of none"):
        cut_over_table(run.site, PLAN, TABLE, "x", "ada", True)
    assert applied(run) == []
