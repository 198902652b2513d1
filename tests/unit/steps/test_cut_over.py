"""Cut-over: what it refuses, what it switches, how it goes on from every point and how it goes back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from icebridge_provider.exceptions import ConfigurationError, FencedOut, TransientError, ValidationFailed
from icebridge_provider.model.event import Outcome, State, Step
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import Approval
from icebridge_provider.model.settings import Settings
from icebridge_provider.planning.cutover import actions, archived_name
from icebridge_provider.ports import Lease
from icebridge_provider.steps.certify import certify_wave
from icebridge_provider.steps.cut_over import cut_over_table
from icebridge_provider.steps.sync import catch_up
from tests.support.migration import EVENTS, PLAN, Migration, dies_before

ARCHIVED = "t__archived_20260110"
STAGED = "t__icebridge_p1"


def test_the_copy_becomes_the_table_and_the_source_is_archived(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    before = m.rows("source", "t")
    done = m.cut_over(m.certified())
    assert m.entries("target") == {"t"}
    assert m.entries("source") == {ARCHIVED}
    assert m.rows("target", "t") == before == m.rows("source", ARCHIVED)
    assert m.native.load_table(("lake", ARCHIVED)).properties["icebridge.moved-to"] == "dst.lake.t"
    assert (done["target"], done["archived"], done["already"]) == ("dst.lake.t", f"src.lake.{ARCHIVED}", False)
    assert m.state.state is State.CUT_OVER
    assert m.state.approval["who"] == "ada"


def test_the_published_metadata_is_the_proven_file(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    digest = m.certified()
    proven = m.state.validation["metadata_location"]
    m.cut_over(digest)
    loaded = m.target.load(m.table.target)
    assert loaded is not None
    assert loaded.metadata_location == proven


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    digest = m.certified()
    first = m.cut_over(digest)
    head = m.ledger.head()
    again = m.cut_over(digest)
    assert again == {"target": first["target"], "archived": first["archived"], "already": True}
    assert m.ledger.head() == head


def test_the_certificate_says_who_approved_and_is_the_approved_one(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    digest = m.certified()
    proposed = m.state.certificate["digest"]
    done = m.cut_over(digest)
    kept = m.ledger.document("certificate", f"{PLAN}/src.lake.t")
    assert kept is not None
    assert kept["digest"] == done["certificate"]
    assert kept["certificate"]["approved_certificate"] == proposed
    assert kept["certificate"]["approval"]["digest"] == digest
    assert kept["certificate"]["names"]["archived"] == f"src.lake.{ARCHIVED}"


def test_another_digest_is_refused(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    m.certified()
    with pytest.raises(ConfigurationError, match="IB-620") as caught:
        m.cut_over("0" * 64)
    assert "000000000000" in str(caught.value)
    assert m.entries("source") == {"t"}
    assert m.state.state is State.AWAITING_APPROVAL


def test_an_older_digest_is_refused_once_the_table_was_proven_anew(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    old = m.certified()
    m.append()
    catch_up(m.site, m.plan, m.table)
    new = m.certify()
    assert new != old
    with pytest.raises(ConfigurationError, match="IB-620"):
        m.cut_over(old)
    assert m.cut_over(new)["already"] is False


def test_a_certificate_that_is_not_the_ledgers_is_refused_before_anything_is_switched(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    digest = m.certified()
    kept = m.ledger.document("proposal", f"{PLAN}/src.lake.t")
    assert kept is not None
    kept["certificate"]["method"] = "register"
    m.ledger.save_document("proposal", f"{PLAN}/src.lake.t", kept)
    with pytest.raises(ConfigurationError, match="IB-620"):
        m.cut_over(digest)
    assert m.entries("target") == {STAGED}


@pytest.mark.parametrize(("who", "ticked", "lacking"), [("", True, "name of a person"), ("ada", False, "tick")])
def test_an_approval_without_name_or_tick_is_refused(tmp_path: Path, who: str, ticked: bool, lacking: str) -> None:
    m = Migration(tmp_path)
    digest = m.certified()
    with pytest.raises(ConfigurationError, match="IB-621") as caught:
        m.cut_over(digest, who, ticked=ticked)
    assert lacking in str(caught.value)
    assert m.entries("target") == {STAGED}


def test_no_approval_needs_the_setting(tmp_path: Path) -> None:
    m = Migration(tmp_path, approval=Approval.NONE)
    m.settings = Settings(allow_unapproved_cutover=True)
    digest = m.certified()
    m.settings = Settings()
    with pytest.raises(ConfigurationError, match="IB-622"):
        m.cut_over(digest, "", ticked=False)
    assert m.entries("source") == {"t"}
    m.settings = Settings(allow_unapproved_cutover=True)
    m.cut_over(digest, "", ticked=False)
    assert m.state.approval["who"] == "nobody (approval=none)"


def test_a_closed_window_is_refused_with_its_next_opening(tmp_path: Path) -> None:
    m = Migration(tmp_path, cutover_window="0 22 * * 6|60|UTC")
    digest = m.certified()
    with pytest.raises(TransientError, match="IB-623") as caught:
        m.cut_over(digest)  # 23:30 on a Saturday
    assert "2026-01-17T22:00:00" in str(caught.value)
    m.now = m.now.replace(hour=22)
    assert m.cut_over(digest)["already"] is False


def test_a_source_that_moved_since_the_proof_is_refused(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    digest = m.certified()
    m.append()
    with pytest.raises(ValidationFailed, match="IB-605") as caught:
        m.cut_over(digest)
    assert "src.lake.t changed" in str(caught.value)
    assert m.entries("source") == {"t"}
    assert m.entries("target") == {STAGED}


def test_a_copy_that_was_written_since_the_proof_is_refused(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    digest = m.certified()
    m.target.native.load_table(("lake", STAGED)).delete("id < 3")
    with pytest.raises(ValidationFailed, match="IB-605"):
        m.cut_over(digest)
    assert m.entries("source") == {"t"}


def test_a_read_only_source_gets_an_instruction_in_the_certificate(tmp_path: Path) -> None:
    m = Migration(tmp_path, read_only=True)
    done = m.cut_over(m.certified())
    kept = m.ledger.document("certificate", f"{PLAN}/src.lake.t")
    assert kept is not None
    assert "revoke access to it or rename it to t__archived_20260110" in done["instruction"]
    assert kept["certificate"]["names"]["instruction"] == done["instruction"]
    assert m.entries("source") == {"t"}
    assert m.entries("target") == {"t"}


def test_a_failure_in_the_middle_is_undone(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    digest = m.certified()
    m.occupy("source", ARCHIVED)
    with pytest.raises(ConfigurationError, match="IB-206"):
        m.cut_over(digest)
    assert m.entries("target") == {STAGED}
    assert m.entries("source") == {"t", ARCHIVED}
    assert len(m.rows("source", ARCHIVED)) == 2
    assert m.state.state is State.VALIDATED
    assert m.state.applied == ()
    assert m.state.intent is None
    assert "IB-206" in m.state.problem


def test_it_works_after_a_failure_once_the_cause_is_gone(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    digest = m.certified()
    m.occupy("source", ARCHIVED)
    with pytest.raises(ConfigurationError, match="IB-206"):
        m.cut_over(digest)
    m.native.drop_table(("lake", ARCHIVED))
    assert catch_up(m.site, m.plan, m.table) == {"rounds": 0}
    m.cut_over(m.certify())
    assert m.entries("source") == {ARCHIVED}


def test_a_taken_target_name_leaves_somebody_elses_table_alone(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    digest = m.certified()
    m.occupy("target", "t")
    with pytest.raises(ConfigurationError, match="IB-206"):
        m.cut_over(digest)
    assert m.entries("target") == {"t", STAGED}
    assert len(m.rows("target", "t")) == 2
    assert m.state.state is State.VALIDATED


@pytest.mark.parametrize("number", range(EVENTS))
def test_it_goes_on_from_every_event(tmp_path: Path, number: int) -> None:
    m = Migration(tmp_path)
    digest, before = m.certified(), m.rows("source", "t")
    assert dies_before(m, digest, number)
    m.later(days=1)  # the archive's name keeps the date of the approval
    done = m.cut_over(digest)
    assert m.state.state is State.CUT_OVER
    assert m.entries("target") == {"t"}
    assert m.rows("target", "t") == before
    [archived] = m.entries("source")
    assert done["archived"] == f"src.lake.{archived}"
    assert len(m.events(Step.CUT_OVER, Outcome.DONE)) == 1
    assert m.ledger.verify_chain().problems == ()


def test_the_number_of_events_is_the_one_tried_above(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    assert not dies_before(m, m.certified(), EVENTS)


def test_what_was_approved_once_is_recorded_once(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    digest = m.certified()
    assert dies_before(m, digest, 0)
    assert m.events(Step.APPROVE) == m.events(Step.CUT_OVER) == []
    assert dies_before(m, digest, 1)
    m.cut_over(digest)
    assert (len(m.events(Step.APPROVE)), len(m.events(Step.CUT_OVER, Outcome.STARTED))) == (1, 1)


@pytest.mark.parametrize("number", range(1, 4))
def test_a_source_that_moved_between_crash_and_resume_is_not_left_behind(tmp_path: Path, number: int) -> None:
    m = Migration(tmp_path)
    digest = m.certified()
    assert dies_before(m, digest, number)  # the source has its name still
    assert m.entries("source") == {"t"}
    m.append()
    with pytest.raises(ValidationFailed, match="IB-605"):
        m.cut_over(digest)
    assert m.entries("target") == {STAGED}
    assert m.state.state is State.VALIDATED
    catch_up(m.site, m.plan, m.table)
    m.cut_over(m.certify())
    assert m.rows("target", "t") == m.rows("source", ARCHIVED)
    assert len(m.rows("target", "t")) == 105


def test_a_source_that_was_made_anew_after_the_archive_is_left_alone(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    digest = m.certified()
    assert dies_before(m, digest, 4)  # archived, and the ledger was not told
    assert m.entries("source") == {ARCHIVED}
    m.occupy("source", "t")
    m.cut_over(digest)
    assert m.entries("source") == {"t", ARCHIVED}
    assert len(m.rows("source", "t")) == 2
    assert len(m.rows("source", ARCHIVED)) == 100


def test_whoever_lost_the_lease_neither_goes_on_nor_goes_back(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    digest = m.certified()
    site = m.site

    def taken_over() -> None:
        m.ledger.release(Lease(key="dst.lake.t", owner=site.owner, epoch=_epoch(m), expires_at=0.0))
        assert m.ledger.acquire("dst.lake.t", "another", 300) is not None

    with pytest.raises(FencedOut, match="IB-110"):
        cut_over_table(replace(site, take_commit=taken_over), m.plan, m.table, digest, "ada", True)
    assert m.entries("target") == {STAGED}
    assert m.events(Step.ROLLBACK) == []


def _epoch(m: Migration) -> int:
    return next(event.epoch for event in reversed(list(m.ledger.events(PLAN, "src.lake.t"))))


def test_the_longest_name_can_be_archived() -> None:
    name = archived_name(TableIdentifier(catalog="c", namespace=("n",), name="x" * 255), "20260110").name
    assert len(name) == 255
    assert name.endswith("__archived_20260110")


def test_every_action_is_plain_json_and_carries_its_inverse(tmp_path: Path) -> None:
    table = Migration(tmp_path).table
    for writable in (True, False):
        listed = actions(table, source_writable=writable, date="20260110")
        assert json.loads(json.dumps(listed)) == list(listed)
        assert listed[0]["action"] == "publish"
        assert all("inverse" in action for action in listed)


def test_tables_of_a_wave_chain_their_certificates(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    first = certify_wave(m.site, m.plan, m.plan.tables)
    assert first["digest"] == ""  # nothing is proven yet
    digest = m.certified()
    assert certify_wave(m.site, m.plan, m.plan.tables)["digest"] == digest
    assert len(m.events(Step.CERTIFY, Outcome.DONE)) == 1
    assert m.state.certificate["previous"] == "0" * 64
