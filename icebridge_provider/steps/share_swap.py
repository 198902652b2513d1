"""Replace by swap: the full table takes the target's name in one step, and no second process can undo it."""

from __future__ import annotations

import secrets
import time

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError, ValidationFailed
from icebridge_provider.model.running import QueryState, QueryStatus
from icebridge_provider.model.share import Share
from icebridge_provider.model.snowflake import LoadRecord, LoadState, Statement
from icebridge_provider.planning.snowflake.load import is_marked
from icebridge_provider.planning.snowflake.names import next_name, query_tag
from icebridge_provider.sql import snowflake as sql
from icebridge_provider.steps.lease import HeldLease
from icebridge_provider.steps.share_site import ShareSite

LOOKS, LONGEST_PAUSE = 120, 1.0


def swap_in(site: ShareSite, share: Share, held: HeldLease, record: LoadRecord) -> None:
    """Swap the published table in, unless that was done, and record it.

    SWAP twice undoes it, and no statement asks and swaps at once. So each call first gives the full table a name that
    nobody else knows: a SWAP that another process decided on before names a table that is not there any more. Then the
    full table's own comment tells: as long as it bears this load's mark, it has not been swapped in.

    :raises TransientError: another call finds out how far it came.
    :raises ValidationFailed: IB-944 when the table with the new rows is gone.
    """
    found = _following(site, share, record)
    if found is None:
        _refuse_lost(site, share, record)
    elif _is_new(found, record):
        mine = _renamed(site, share, held, record, found[0])
        if is_marked(_comment(site, share, mine), record):
            _swap(site, share, held, record, mine)
    _record(site, share, record)


def leftovers(site: ShareSite, share: Share, key: str) -> list[tuple[str, str, str]]:
    """Return the tables that swaps of this load have left behind."""
    database, schema, _ = share.place.target
    beginning = next_name(key, 0).removesuffix("0")
    told = site.target.run("look for swapped tables", sql.tables_of((database, schema), beginning))
    return [(database, schema, str(row[0])) for row in told.rows]


def _following(site: ShareSite, share: Share, record: LoadRecord) -> tuple[str, str] | None:
    """Name and comment of the table that was filled, or of the old one after the swap."""
    base = next_name(record.run_key, record.generation)
    told = site.target.run("look for the table to swap in", sql.tables_of(share.place.target[:2], base))
    rows = [(str(name), str(comment or "")) for name, comment in told.rows]
    fitting = [row for row in rows if row[0] == base or row[0].startswith(f"{base}_")]
    return max(fitting, key=lambda row: _is_new(row, record), default=None)


def _is_new(found: tuple[str, str], record: LoadRecord) -> bool:
    return is_marked(found[1], record)


def _comment(site: ShareSite, share: Share, table: str) -> str:
    told = site.target.run("read a comment", sql.comment_of((*share.place.target[:2], table)))
    return str(told.rows[0][0] or "") if told.rows else ""


def _renamed(site: ShareSite, share: Share, held: HeldLease, record: LoadRecord, table: str) -> str:
    mine = f"{next_name(record.run_key, record.generation)}_{secrets.token_hex(6).upper()}"
    rename = Statement(text=sql.rename_table((*share.place.target[:2], table), mine))
    held.keep(now=True)
    try:
        with side_effect("load.rename"):
            site.target.run(f"take {table} for the swap", rename)
    except IceBridgeError:
        # Sent again after a lost answer it finds the old name gone; whether it worked, the new name tells.
        if mine not in {name for *_, name in leftovers(site, share, record.run_key)}:
            raise
    return mine


def _swap(site: ShareSite, share: Share, held: HeldLease, record: LoadRecord, mine: str) -> None:
    """Swap once: a statement with a tag is found again after a lost answer, never sent again."""
    target = share.place.target
    tag = query_tag(record.run_key, record.generation, mine)
    what = f"swap {share.name} in"
    held.keep(now=True)
    with side_effect("load.swap"):
        query_id = site.target.start(what, Statement(text=sql.swap_tables(target, (*target[:2], mine))), tag)
    pause = 0.05
    for _ in range(LOOKS):
        status = site.target.look(query_id)
        if status.state is QueryState.DONE:
            return
        if status.state is not QueryState.RUNNING:
            is_there = mine in {name for *_, name in leftovers(site, share, record.run_key)}
            raise _not_done(what, status, is_there)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
    raise _unknown(what, "it still runs")


def _not_done(what: str, status: QueryStatus, is_there: bool) -> IceBridgeError:
    """Say why it failed; without the table another process has taken over or it was done after all."""
    if status.state is not QueryState.FAILED or status.retryable or not is_there:
        return _unknown(what, f"{status.state.value} {status.message}".strip())
    return ConfigurationError(
        "IB-943",
        f"Snowflake could not {what}: [{status.code}] {status.message}.",
        remedy="Mend what it names (SWAP needs OWNERSHIP of both tables), then clear the task.",
        changed="The new rows stand in a table beside the target, which is as it was.",
        error_class=status.code,
    )


def _unknown(what: str, why: str) -> TransientError:
    return TransientError(
        "IB-942",
        f"Snowflake did not {what}: {why}.",
        remedy="It is tried again by itself, which looks first what was done.",
        changed="The new rows stand in a table beside the target.",
    )


def _refuse_lost(site: ShareSite, share: Share, record: LoadRecord) -> None:
    if is_marked(_comment(site, share, share.place.target[2]), record):
        return  # swapped in, and the old table was dropped by hand
    raise ValidationFailed(
        "IB-944",
        f"The table with the new rows of {share.name} is gone: no"
        f" {next_name(record.run_key, record.generation)} in {sql.name(*share.place.target[:2])}.",
        remedy="UNDROP it, or start a new run.",
        changed="The target is as it was.",
        run_key=record.run_key,
    )


def _record(site: ShareSite, share: Share, record: LoadRecord) -> None:
    settle = sql.settle_load(share.place.control, record, LoadState.SWAPPING, LoadState.LOADED)
    with side_effect("load.settle"):
        site.target.run(f"record the load of {share.name}", settle)  # no row: it was recorded meanwhile
