"""Plans shares with Snowflake: every table is looked at, on both sides, before the first byte moves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, PreflightFailed, ValidationFailed
from icebridge_provider.model import codec
from icebridge_provider.model.event import Actor, LedgerEvent, Outcome, State, Step
from icebridge_provider.model.share import SHARE, Share
from icebridge_provider.model.snowflake import Statement
from icebridge_provider.planning.snowflake.load import LIMITED
from icebridge_provider.planning.snowflake.manifest import is_data
from icebridge_provider.planning.snowflake.names import export_location, safe_segment, stage_path
from icebridge_provider.planning.snowflake.presets import limited
from icebridge_provider.planning.snowflake.requests import ShareRequest
from icebridge_provider.ports import Ledger
from icebridge_provider.ports.share import SqlRunner
from icebridge_provider.sql import snowflake as target_sql
from icebridge_provider.sql import snowflake_export as source_sql
from icebridge_provider.steps.lease import Leasing, lease_of
from icebridge_provider.steps.share_looks import Ends, Looked, look_at_table
from icebridge_provider.steps.share_manifest import staged_files
from icebridge_provider.steps.share_runs import opened

PLAN = "share_plan"  # kind of document: all shares of a run as they were planned, by its id
LONGEST_RUN = 250  # characters, as Airflow's run ids
SHOWN = 10
_PROBE = ("icebridge", "probe", "")  # no table has an empty name


class PlanningSite(Leasing, Ends, Protocol):
    """What planning works with; a ``ShareSite`` fits."""

    @property
    def actor(self) -> Actor:
        """In whose name."""


def plan_shares(
    site: PlanningSite,
    requests: Sequence[ShareRequest],
    run_id: str,
    *,
    check_location: Callable[[str], Any] | None = None,
) -> list[Share]:
    """Plan all tables of a run, keep what was planned, and return it; the same again returns what was kept.

    :param check_location: makes sure that the warehouse may write to a folder and read from it, and tells what is
        lacking; None tries it by a row.
    :raises ConfigurationError: IB-927 when the run id was used before for something else, and what one table lacks.
    :raises PreflightFailed: IB-926 naming what several tables lack.
    :raises TransientError: when asking again may help; IB-600 while another process plans this run.
    """
    refuse_unfit_run(run_id)
    asked = codec.digest([codec.to_json(item) for item in requests])
    with lease_of(site, f"share plan:{run_id}"):
        opened(site.ledger, run_id)
        shares = _kept(site.ledger, run_id, asked)
        if shares is None:
            shares = _planned(site, requests, run_id, check_location)
            _refuse_other(site.ledger, shares)
            site.ledger.save_document(PLAN, run_id, _document(site, asked, shares))
        _keep(site, shares)
    return shares


def look_at(site: PlanningSite, requests: Sequence[ShareRequest], run_id: str) -> list[Share]:
    """Plan all tables by reading alone: nothing is kept, and nothing is written on either side.

    :raises IceBridgeError: as :func:`plan_shares`.
    """
    refuse_unfit_run(run_id)
    looked = Looked(site)
    shares, wrong = [], []
    for request in requests:
        try:
            shares.append(look_at_table(looked, request, run_id))
        except IceBridgeError as error:
            if error.retryable:
                raise
            wrong.append((f"{'.'.join(request.source)} -> {'.'.join(request.target)}", error))
    _refuse_wrong(wrong)
    return shares


def refuse_unfit_run(run_id: str) -> None:
    """Make sure that a text can be a run's id.

    :raises ConfigurationError: IB-901 for an empty one, IB-924 for one of more than 250 characters.
    """
    safe_segment(run_id)
    if len(run_id) > LONGEST_RUN:
        raise ConfigurationError(
            "IB-924",
            f"The field run_id cannot be taken: it has {len(run_id)} characters, {LONGEST_RUN} are allowed.",
            remedy="Give the run a shorter id.",
            field="run_id",
        )


# What was planned


def share_of(ledger: Ledger, document: str) -> Share:
    """Return a share by its document's key.

    :raises ConfigurationError: IB-950 when there is none.
    """
    found = ledger.document(SHARE, document)
    if found is None:
        raise ConfigurationError(
            "IB-950",
            f"The ledger knows no share {document[:200]!r}.",
            remedy="Plan it first; the ledger must be the one that it was planned in.",
            document=document,
        )
    return codec.from_json(Share, found)


def shares_of_run(ledger: Ledger, run_id: str) -> list[Share]:
    """Return the shares of a run, in the order in which they were asked for.

    :raises ConfigurationError: IB-950 when there is no such run.
    """
    found = ledger.document(PLAN, run_id) if run_id else None
    if found is None:
        raise ConfigurationError(
            "IB-950",
            f"The ledger knows no planned run {run_id[:200]!r}.",
            remedy="Plan it first; `icebridge share status` lists the runs.",
            run_id=run_id,
        )
    return [codec.from_json(Share, item) for item in found["shares"]]


def ends_of_run(ledger: Ledger, run_id: str) -> tuple[str, str]:
    """Return the connections between which a run was planned, empty when there is no such run."""
    found = ledger.document(PLAN, run_id) or {}
    return str(found.get("source", "")), str(found.get("target", ""))


def caption(share: Share) -> str:
    """Return a share's title: both tables, the mode, and LIMITED with the reason where rows are left out."""
    why = limited(share.limit, share.where)
    return f"{share.name} ({share.mode.value})" + (f" {LIMITED}: {why}" if why else "")


def xcom(share: Share) -> dict[str, str]:
    """Return what tasks hand each other of a share: where it is kept, never its condition's values."""
    return {"run_id": share.run_id, "document": share.document, "caption": caption(share)}


# All tables


def _planned(
    site: PlanningSite,
    requests: Sequence[ShareRequest],
    run_id: str,
    check_location: Callable[[str], Any] | None,
) -> list[Share]:
    try:
        shares = look_at(site, requests, run_id)
        for share in {(item.location, item.place.stage): item for item in shares}.values():
            _try_location(site, share, check_location)
        for control in {item.place.control for item in shares}:
            _try_control(site, control)
    except IceBridgeError as error:
        told = {"code": error.code, "message": str(error), "remedy": error.remedy, "retryable": error.retryable}
        site.ledger.append(_event(site, run_id, "", Outcome.FAILED, told))
        raise
    return shares


def _try_location(site: PlanningSite, share: Share, check_location: Callable[[str], Any] | None) -> None:
    """Write a row where the run's files go, read it, and see it in the stage: no right is missing, then.

    The probe's file stays in the run's folder, for the bucket's lifecycle rule.
    """
    location = export_location(share.location, share.run_id, _PROBE)
    with side_effect("share.probe"):
        told = (check_location or (lambda place: _probe(site.source, place)))(location)
    if getattr(told, "probed", True):
        _see_probe(site.target, share, location)


def _probe(source: SqlRunner, location: str) -> None:
    source.run(f"write to {location}", Statement(text=source_sql.write_probe(location)))
    rows = source.run(f"read {location}", Statement(text=source_sql.read_probe(location))).rows
    if [tuple(map(str, row)) for row in rows] != [("1",)]:
        raise ValidationFailed(
            "IB-929",
            f"What was written to {location} was read back as {len(rows)} rows; it was one.",
            remedy="Let nobody else write there.",
            changed="A probe of one row stands in the run's folder.",
            location=location,
        )


def _see_probe(target: SqlRunner, share: Share, location: str) -> None:
    path = stage_path(share.place.stage_root, location)
    stage = ".".join(share.place.stage)
    listed = target.run(f"list {stage}", Statement(text=target_sql.list_stage(share.place.stage, path))).rows
    if not any(is_data(item.name) for item in staged_files([(row[0], row[1], row[2]) for row in listed], path)):
        raise ConfigurationError(
            "IB-929",
            f"Databricks wrote a row to {location}, and the Snowflake stage {stage} does not list it.",
            remedy="Let the stage's URL name the same bucket and folder, and its integration allow it.",
            changed="A probe of one row stands in the run's folder.",
            location=location,
            stage=stage,
        )


def _try_control(site: PlanningSite, control: tuple[str, str]) -> None:
    """Make the table of loads, which a load would do first: who may not, learns it before the export."""
    what = f"create {target_sql.LOADS} in {'.'.join(control)}"
    with side_effect("share.loads"):
        site.target.run(what, Statement(text=target_sql.create_loads(control)))


def _refuse_wrong(wrong: Sequence[tuple[str, IceBridgeError]]) -> None:
    if len(wrong) == 1:
        raise wrong[0][1]
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        listed = "; ".join(f"{name}: [{error.code}] {error.message}" for name, error in wrong[:SHOWN])
        raise PreflightFailed(
            "IB-926",
            f"{len(wrong)} tables cannot be shared as they are asked for: {listed}{more}.",
            remedy="Correct each, or leave it out; docs/errors.md has a section for every code.",
            tables=len(wrong),
        )


# The ledger


def _document(site: PlanningSite, asked: str, shares: Iterable[Share]) -> dict[str, Any]:
    ends = {"source": site.source.name, "target": site.target.name}
    return {"asked": asked, **ends, "shares": [codec.to_json(item) for item in shares]}


def _kept(ledger: Ledger, run_id: str, asked: str) -> list[Share] | None:
    found = ledger.document(PLAN, run_id)
    if found is None:
        return None
    if found["asked"] != asked:
        raise _used(run_id, f"{len(found['shares'])} tables, with other settings")
    return shares_of_run(ledger, run_id)


def _refuse_other(ledger: Ledger, shares: Iterable[Share]) -> None:
    """Make sure that what is kept of these shares is the same; a share is planned once, for every try of it."""
    for share in shares:
        found = ledger.document(SHARE, share.document)
        if found is not None and codec.from_json(Share, found).digest != share.digest:
            raise _used(share.run_id, share.name)


def _used(run_id: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-927",
        f"The run id {run_id[:200]!r} was used before, for {what}.",
        remedy="Start a new run: every run has an id of its own.",
        run_id=run_id,
    )


def _keep(site: PlanningSite, shares: Sequence[Share]) -> None:
    """Keep what of a plan is not kept yet: a planning that was killed is finished by the next one."""
    new = []
    for share in shares:
        if site.ledger.document(SHARE, share.document) is None:
            site.ledger.save_document(SHARE, share.document, codec.to_json(share))
        if site.ledger.state(share.run_id, share.name).state is State.DISCOVERED:
            new.append(_event(site, share.run_id, share.name, Outcome.DONE, _told(share)))
    run_id = shares[0].run_id
    if site.ledger.state(run_id, "").problem:
        new.append(_event(site, run_id, "", Outcome.DONE, {"tables": len(shares)}))
    if new:
        site.ledger.append_many(new)


def _told(share: Share) -> Mapping[str, Any]:
    why = limited(share.limit, share.where)
    facts = {"document": share.document, "digest": share.digest, "mode": share.mode.value, "preset": share.preset}
    return {**facts, "caption": caption(share), "limited": why}


def _event(site: PlanningSite, run_id: str, table: str, outcome: Outcome, data: Mapping[str, Any]) -> LedgerEvent:
    return LedgerEvent(plan_id=run_id, table=table, step=Step.PLAN, outcome=outcome, actor=site.actor, data=data)
