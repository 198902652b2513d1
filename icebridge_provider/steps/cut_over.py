"""Makes the copy the table: approved, journaled step by step, undone if a step fails."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import (
    ConfigurationError,
    FencedOut,
    IceBridgeError,
    TransientError,
    ValidationFailed,
)
from icebridge_provider.model.access import to_record
from icebridge_provider.model.event import Outcome, State, Step, TableState
from icebridge_provider.model.plan import Approval, MigrationPlan, TablePlan
from icebridge_provider.planning.cutover import (
    ARCHIVE,
    GRANT,
    INSTRUCT,
    POINTER,
    PROTECT,
    SOURCE,
    TARGET,
    Action,
    actions,
    bound,
)
from icebridge_provider.planning.window import parse_window
from icebridge_provider.state.signing import sealed
from icebridge_provider.steps.access import Accesses, access_now, check_access, swap_of
from icebridge_provider.steps.actions import do, place, undo
from icebridge_provider.steps.certify import check_unmoved, moved
from icebridge_provider.steps.copy_outcome import record_failure
from icebridge_provider.steps.identity import id_of, is_meant, mark_of, written_since
from icebridge_provider.steps.lease import HeldLease, lease_on
from icebridge_provider.steps.site import Site
from icebridge_provider.validation.certificate import digest_of

STALE_SECONDS = 5.0  # a look at access that is older, because a commit had to wait, is taken again


def cut_over_table(
    site: Site, plan: MigrationPlan, table: TablePlan, digest: str, who: str, writers_stopped: bool
) -> dict[str, Any]:
    """Publish the copy under its final name and archive the source; go on where an earlier run stopped.

    :param digest: what was approved: the digest :func:`icebridge_provider.steps.certify.certify_wave` returned.
    :param who: the person who approved.
    :returns: ``target``, ``archived`` or ``instruction``, ``certificate`` (digest), ``already``.
    :raises ConfigurationError: IB-620 the digest is not what stands now, IB-621 approval lacks a name or the tick,
        IB-622 no approval where one is needed.
    :raises TransientError: IB-623 outside the cut-over window.
    :raises ValidationFailed: IB-605 when source or copy moved, IB-632 when somebody changed who may read them.
    """
    key = str(table.source)
    with lease_on(site, table) as held:
        state, seen = site.ledger.state(plan.plan_id, key), None
        if state.state in {State.CUT_OVER, State.PURGED}:
            return {**_names(state, table), "already": True}
        if state.state is not State.CUTTING_OVER:
            seen = _check(site, plan, table, state, digest, who, writers_stopped=writers_stopped)
            state = _approve(site, plan, table, digest, who, held, writers_stopped=writers_stopped)
        return {**_go_on(site, plan, table, state, held, seen), "already": False}


def _check(
    site: Site,
    plan: MigrationPlan,
    table: TablePlan,
    state: TableState,
    digest: str,
    who: str,
    *,
    writers_stopped: bool,
) -> Accesses | None:
    """Make sure that what was approved is what stands; return who may read source and copy."""
    _check_approval(site, plan, who, writers_stopped=writers_stopped)
    approved = site.ledger.document("certificate_set", f"{plan.plan_id}/{digest}") or {"tables": {}}
    proposal = _proposal(site, plan, table, state)
    stands = state.certificate.get("digest") if proposal is not None else None
    if state.state is not State.AWAITING_APPROVAL or approved["tables"].get(str(table.source)) != stands:
        raise ConfigurationError(
            "IB-620",
            f"What was approved ({digest[:12] or 'nothing'}) is not what stands now for {table.source}.",
            remedy="Run the migration again and approve the digest it shows then.",
            changed="Nothing was cut over.",
            table=str(table.source),
        )
    window = parse_window(plan.request.cutover_window)
    if window is not None and window.opened_at(site.now()) is None:
        raise TransientError(
            "IB-623",
            f"The cut-over window {plan.request.cutover_window} is closed.",
            remedy=f"It opens {window.next_opening(site.now()).isoformat()}; the cut-over goes on then.",
            changed="Nothing was cut over.",
        )
    check_unmoved(site, table, state)
    certified = _access_in(proposal)
    swap_of(site, table, certified)
    return check_access(site, table, certified)


def _check_approval(site: Site, plan: MigrationPlan, who: str, *, writers_stopped: bool) -> None:
    if plan.request.approval is Approval.NONE:
        if not site.settings.allow_unapproved_cutover:
            raise ConfigurationError(
                "IB-622",
                "The plan wants a cut-over that nobody approves.",
                remedy="Plan with approval=required, or switch on [icebridge] allow_unapproved_cutover.",
                changed="Nothing was cut over.",
            )
        return
    if not who or not writers_stopped:
        lacking = "the name of a person" if not who else "the tick that the writers are stopped"
        raise ConfigurationError(
            "IB-621",
            f"The approval lacks {lacking}.",
            remedy="Approve in Airflow's UI (Required Actions) or by REST, with writers_stopped ticked.",
            changed="Nothing was cut over.",
        )


def _approve(
    site: Site,
    plan: MigrationPlan,
    table: TablePlan,
    digest: str,
    who: str,
    held: HeldLease,
    *,
    writers_stopped: bool,
) -> TableState:
    """Record the approval and the beginning together: between the two a crash would lead to a second approval."""
    data: dict[str, object] = {
        "who": who or "nobody (approval=none)",
        "digest": digest,
        "writers_stopped": writers_stopped,
        "at": site.now().isoformat(timespec="seconds"),
    }
    key = str(table.source)
    both = ((Step.APPROVE, Outcome.DONE), (Step.CUT_OVER, Outcome.STARTED))
    events = [site.event(plan.plan_id, key, step, outcome, data, held.lease) for step, outcome in both]
    site.ledger.append_many(events, held.lease)
    return site.ledger.state(plan.plan_id, key)


def _go_on(
    site: Site, plan: MigrationPlan, table: TablePlan, state: TableState, held: HeldLease, seen: Accesses | None
) -> dict[str, Any]:
    try:
        wanted, found = _act(site, plan, table, state, held, seen)
    except (TransientError, FencedOut):
        raise  # the outcome may be unknown, or not ours any more: the next try looks and goes on
    except IceBridgeError as error:
        _go_back(site, plan, table, held)
        record_failure(site, plan.plan_id, str(table.source), Step.CUT_OVER, error, held)
        raise
    return _finish(site, plan, table, state, wanted, found, held)


def _act(
    site: Site, plan: MigrationPlan, table: TablePlan, state: TableState, held: HeldLease, seen: Accesses | None
) -> tuple[tuple[Action, ...], dict[str, Any] | None]:
    """Do what is not done yet; return all actions, and who may read what after them.

    What decides who reads is looked at again after every action: what it changed, and nothing else. That is the look
    before the next one too.

    :param seen: what it was a moment ago; None when this goes on after a crash, or no privileges are kept.
    """
    certified = _access_in(_proposal(site, plan, table, state))
    wanted = _wanted(site, table, state, certified)
    done: dict[str, Action] = {action["action"]: dict(action) for action in state.applied}
    begun, looked, first = state.intent, time.monotonic(), seen is not None
    for action in wanted:
        if action["action"] in done:
            continue
        site.take_commit()
        if time.monotonic() - looked > STALE_SECONDS:
            seen, first = None, False
        if seen is None and action["action"] != POINTER:
            seen = check_access(site, table, certified, tuple(done.values()), begun)
        copy_id = _certified_id(certified)
        if first and action["action"] == GRANT:  # the copy was looked at with the access that was just seen
            proven = bound(action, copy_id)
        else:
            proven = _proven(site, table, state, action, done, copy_id)
        do(site, plan, table, proven, held, (seen or {}).get(action.get("side", "")))
        done[action["action"]], begun = proven, None
        seen, looked = _seen_after(site, table, certified, done, action, seen), time.monotonic()
        first = False
    if certified is None:
        return wanted, None
    now = seen or access_now(site, table, tuple(done.values()))
    return wanted, {side: to_record(access) for side, access in now.items()}


def _seen_after(
    site: Site,
    table: TablePlan,
    certified: Mapping[str, Any] | None,
    done: Mapping[str, Action],
    action: Action,
    seen: Accesses | None,
) -> Accesses | None:
    """Look at access after an action; once the source is put away it is too late to stop, it is only recorded."""
    if action["action"] in {ARCHIVE, POINTER}:
        return None
    return seen if action["action"] == INSTRUCT else check_access(site, table, certified, tuple(done.values()))


def _wanted(site: Site, table: TablePlan, state: TableState, certified: Mapping[str, Any] | None) -> tuple[Action, ...]:
    date = str(state.approval["at"])[:10].replace("-", "")
    moves = swap_of(site, table, certified)
    grantable = site.source.access is not None and site.source.access.writable()
    return actions(table, source_writable=site.source.writable(), date=date, swap=moves, source_grantable=grantable)


def _proven(
    site: Site, table: TablePlan, state: TableState, action: Action, done: Mapping[str, Action], copy_id: str
) -> Action:
    """Return the action, bound to the very table that was proven; what was begun before is taken as it was written.

    :param copy_id: the catalog's own id of the copy as certified, empty where there is none.
    :raises ValidationFailed: IB-605 when source or copy moved since, perhaps between a crash and this run.
    """
    intent = state.intent or {}
    begun = dict(intent) if intent.get("action") == action["action"] else None
    if "properties" in action:
        return begun or action
    if action.get("side") == TARGET and (
        protected := done.get(PROTECT) or (begun if begun and "mark" in begun else None)
    ):
        return _still_proven(site, table, action, begun, protected)
    side = str(action.get("side", SOURCE))
    catalog, name = (site.source, table.source) if action["action"] == INSTRUCT else place(site, action)
    mark = mark_of(site, name) if action["action"] == PROTECT else ""  # before the metadata: nothing may come between
    loaded = catalog.load(name)
    proven = state.validation.get("metadata_location" if side == TARGET else "source_metadata_location")
    if loaded is not None and loaded.metadata_location == proven:
        if action["action"] == INSTRUCT:
            return action
        meant = copy_id if side == TARGET and copy_id else str(id_of(site, side, name))
        return {**bound(action, meant), **({"mark": mark} if mark else {})}
    if begun is not None and (loaded is None or not is_meant(id_of(site, side, name), begun)):
        return begun  # it was renamed before the crash; performing it looks for the very table it was written for
    raise moved(table, f"{name} changed or is gone", "Run the migration again: it catches up and proves anew.")


def _still_proven(site: Site, table: TablePlan, action: Action, begun: Action | None, protected: Action) -> Action:
    """Return an action on the copy whose metadata may be withheld by now: its id and its commits must be as marked."""
    _, name = place(site, action)
    meant = str(protected["uuid"])
    if not is_meant(id_of(site, TARGET, name), {"uuid": meant}):
        if begun is not None:
            return begun
        raise moved(table, f"{name} is gone", "Roll the table back and migrate it again.")
    written = written_since(site, name, str(protected["mark"]))
    if written:
        raise moved(table, f"{name} changed ({', '.join(written)})", "Roll the table back and migrate it again.")
    return begun or bound(action, meant)


def _go_back(site: Site, plan: MigrationPlan, table: TablePlan, held: HeldLease) -> None:
    """Undo what was begun and done, the last first."""
    state = site.ledger.state(plan.plan_id, str(table.source))
    begun = [state.intent] if state.intent else []
    for action in [*begun, *reversed(state.applied)]:
        undo(site, plan, table, action, held)


def _finish(
    site: Site,
    plan: MigrationPlan,
    table: TablePlan,
    state: TableState,
    wanted: tuple[Action, ...],
    access: dict[str, Any] | None,
    held: HeldLease,
) -> dict[str, Any]:
    """Write the final certificate: the approved one with the names after, who may read what and who approved."""
    proposal = _proposal(site, plan, table, state)
    if proposal is None:
        raise ValidationFailed(
            "IB-624",
            f"The certificate of {table.source} in the ledger is not the one that was approved.",
            remedy="Run: airflow icebridge audit verify.",
            changed="The tables were switched; roll back with: airflow icebridge rollback.",
        )
    names = _after(proposal["certificate"]["names"], wanted)
    final = {
        **proposal["certificate"],
        "names": names,
        "approval": dict(state.approval),
        "approved_certificate": proposal["digest"],
    }
    if access is not None:
        final["access"] = {**final["access"], "after": access}
    document = sealed(final, site.signer)
    with side_effect("cut_over.certificate"):
        site.ledger.save_document("certificate", f"{plan.plan_id}/{table.source}", document)
    data = {"certificate": document["digest"], "signed": document["signed"], **names}
    site.record(plan.plan_id, str(table.source), Step.CUT_OVER, Outcome.DONE, dict(data), held.lease)
    return data


def _proposal(site: Site, plan: MigrationPlan, table: TablePlan, state: TableState) -> dict[str, Any] | None:
    """Return the certificate that was proposed for approval, None when it is not the one the ledger's events name."""
    found = site.ledger.document("proposal", f"{plan.plan_id}/{table.source}")
    if found is None or digest_of(found["certificate"]) != state.certificate.get("digest"):
        return None
    return found


def _access_in(proposal: dict[str, Any] | None) -> Mapping[str, Any] | None:
    """Return who may read what, as the certificate has it; None for catalogs that keep no privileges."""
    return proposal["certificate"].get("access") if proposal is not None else None


def _certified_id(certified: Mapping[str, Any] | None) -> str:
    """Return the catalog's own id of the copy, as certified; empty for catalogs that keep no privileges."""
    return str(certified["before"][TARGET].get("table_id", "")) if certified is not None else ""


def _after(names: dict[str, str], wanted: tuple[Action, ...]) -> dict[str, str]:
    for action in wanted:
        if action["action"] == ARCHIVE:
            return {**names, "archived": str(action["inverse"]["table"])}
        if action["action"] == INSTRUCT:
            return {**names, "instruction": str(action["text"])}
    return names


def _names(state: TableState, table: TablePlan) -> dict[str, Any]:
    archived = next((a["inverse"]["table"] for a in state.applied if a["action"] == ARCHIVE), None)
    return {"target": str(table.target), **({"archived": archived} if archived else {})}
