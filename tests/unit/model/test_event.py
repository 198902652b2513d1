from __future__ import annotations

from icebridge_provider.model.event import LedgerEvent, Outcome, State, Step, fold


def events(*pairs: tuple[Step, Outcome] | tuple[Step, Outcome, dict[str, object]]) -> list[LedgerEvent]:
    made = []
    for number, (step, outcome, *data) in enumerate(pairs):
        content = data[0] if data else {}
        made.append(LedgerEvent(plan_id="p", table="t", step=step, outcome=outcome, data=content, seq=number))
    return made


def test_the_walk_of_one_table() -> None:
    walk = events(
        (Step.PLAN, Outcome.DONE),
        (Step.COPY, Outcome.STARTED),
        (Step.COPY, Outcome.DONE, {"rows": 3}),
        (Step.VALIDATE, Outcome.DONE, {"passed": True}),
        (Step.CERTIFY, Outcome.DONE, {"digest": "d"}),
        (Step.APPROVE, Outcome.DONE, {"who": "ana"}),
        (Step.CUT_OVER, Outcome.STARTED),
        (Step.CUT_OVER, Outcome.DONE),
    )
    seen = [fold(walk[: length + 1]).state for length in range(len(walk))]
    assert seen == [
        State.PLANNED,
        State.COPYING,
        State.COPIED,
        State.VALIDATED,
        State.AWAITING_APPROVAL,
        State.AWAITING_APPROVAL,
        State.CUTTING_OVER,
        State.CUT_OVER,
    ]
    end = fold(walk)
    assert (end.copy, end.validation, end.certificate, end.approval) == (
        {"rows": 3},
        {"passed": True},
        {"digest": "d"},
        {"who": "ana"},
    )


def test_a_begun_action_stays_open_until_its_outcome_is_known() -> None:
    begun = events((Step.CUT_OVER, Outcome.INTENT, {"action": "publish"}))
    assert fold(begun).intent == {"action": "publish"}
    applied = fold([*begun, *events((Step.CUT_OVER, Outcome.APPLIED, {"action": "publish"}))])
    assert applied.intent is None
    assert [action["action"] for action in applied.applied] == ["publish"]
    undone = fold(
        events(
            (Step.CUT_OVER, Outcome.APPLIED, {"action": "publish"}),
            (Step.CUT_OVER, Outcome.APPLIED, {"action": "archive"}),
            (Step.CUT_OVER, Outcome.UNDONE, {"action": "archive"}),
        )
    )
    assert [action["action"] for action in undone.applied] == ["publish"]


def test_failures_count_by_step_and_a_new_start_clears_the_problem() -> None:
    failed = events((Step.COPY, Outcome.FAILED, {"message": "disk full"}), (Step.COPY, Outcome.FAILED))
    assert fold(failed).failures == {"copy": 2}
    assert fold(failed[:1]).problem == "disk full"
    assert fold([*failed, *events((Step.COPY, Outcome.STARTED))]).problem == ""


def test_a_catch_up_that_moved_nothing_leaves_the_proof_in_force() -> None:
    validated = events((Step.COPY, Outcome.DONE), (Step.VALIDATE, Outcome.DONE))
    still = fold([*validated, *events((Step.SYNC, Outcome.DONE, {"moved": False}))])
    moved = fold([*validated, *events((Step.SYNC, Outcome.DONE, {"moved": True}))])
    assert (still.state, moved.state) == (State.VALIDATED, State.COPIED)
