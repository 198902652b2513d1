"""Leases by the database's clock. The epoch grows whenever a lease changes hands, so that old owners are fenced off."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from icebridge_provider.exceptions import FencedOut
from icebridge_provider.ports import Lease
from icebridge_provider.state.database import insert_for
from icebridge_provider.state.schema import LEASES


def clock(connection: Connection) -> float:
    """Return the database's time in seconds since 1970: hosts' clocks differ, the database has one."""
    query = "SELECT (julianday('now') - 2440587.5) * 86400.0"
    if connection.dialect.name == "postgresql":
        query = "SELECT EXTRACT(EPOCH FROM clock_timestamp())"
    return float(connection.execute(sa.text(query)).scalar_one())


def timestamp(connection: Connection) -> str:
    """Return the database's time as ISO 8601 in UTC, to the microsecond."""
    return datetime.fromtimestamp(clock(connection), UTC).isoformat(timespec="microseconds")


def acquire(connection: Connection, key: str, owner: str, seconds: float) -> Lease | None:
    """Take a free or lapsed lease with the next epoch, or renew one's own; None while somebody else holds it."""
    row = connection.execute(sa.select(LEASES).where(LEASES.c.key == key).with_for_update()).one_or_none()
    now = clock(connection)  # after the wait for the row
    if row is None:
        return _first(connection, Lease(key=key, owner=owner, epoch=1, expires_at=now + seconds))
    lapsed = row.expires_at <= now
    if row.owner != owner and not lapsed:
        return None
    lease = Lease(key=key, owner=owner, epoch=row.epoch + (row.owner != owner or lapsed), expires_at=now + seconds)
    _store(connection, lease)
    return lease


def renew(connection: Connection, lease: Lease, seconds: float) -> Lease:
    """Extend a lease that is still the newest of its key.

    :raises FencedOut: IB-110.
    """
    check(connection, lease)
    longer = Lease(key=lease.key, owner=lease.owner, epoch=lease.epoch, expires_at=clock(connection) + seconds)
    _store(connection, longer)
    return longer


def release(connection: Connection, lease: Lease) -> None:
    """Let a lease lapse now, if it is still the newest; the row stays, so that epochs go on growing."""
    connection.execute(
        sa.update(LEASES)
        .where(LEASES.c.key == lease.key, LEASES.c.owner == lease.owner, LEASES.c.epoch == lease.epoch)
        .values(expires_at=0.0)
    )


def check(connection: Connection, lease: Lease) -> None:
    """Make sure nobody took the lease over; a lapsed lease that nobody took is still good.

    :raises FencedOut: IB-110.
    """
    query = sa.select(LEASES.c.owner, LEASES.c.epoch).where(LEASES.c.key == lease.key).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None or (row.owner, row.epoch) != (lease.owner, lease.epoch):
        raise FencedOut(
            "IB-110",
            f"Another process took over {lease.key}; this one stops.",
            remedy="Nothing to do: the other process goes on. If it died, run the task again.",
            changed="What this process had finished is recorded.",
            key=lease.key,
        )


def _first(connection: Connection, lease: Lease) -> Lease | None:
    values = {"key": lease.key, "owner": lease.owner, "epoch": lease.epoch, "expires_at": lease.expires_at}
    insert = insert_for(LEASES, connection.dialect.name).values(**values).on_conflict_do_nothing()
    return lease if connection.execute(insert).rowcount == 1 else None


def _store(connection: Connection, lease: Lease) -> None:
    connection.execute(
        sa.update(LEASES)
        .where(LEASES.c.key == lease.key)
        .values(owner=lease.owner, epoch=lease.epoch, expires_at=lease.expires_at)
    )
