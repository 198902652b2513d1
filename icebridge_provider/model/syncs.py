"""One sync as the file ``syncs.yaml`` describes it."""

from __future__ import annotations

from dataclasses import dataclass

POLL_SECONDS = 10.0
MAX_EVENTS_PER_POLL = 100
LEASE_SECONDS = 300.0
MAX_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncConfig:
    """Which events are applied to which database, as whom, and how often.

    :param events_conn_id: connection whose table ``events_table`` holds the events. This and the other connections may
        be empty: then the environment says where it is.
    :param permissions_file: absolute path; a relative one in the file starts at the file's folder.
    :param user: the permissions file's user that this sync writes as.
    :param poll_seconds: seconds between two looks.
    :param strict: a discrepancy fails the event and rolls it back.
    :param lease_seconds: how long a claim lasts unless it is settled.
    :param max_attempts: claims of one event before it is settled as failed.
    """

    name: str
    events_conn_id: str
    events_table: str
    source_conn_id: str
    target_conn_id: str
    permissions_file: str
    user: str
    poll_seconds: float = POLL_SECONDS
    max_events_per_poll: int = MAX_EVENTS_PER_POLL
    strict: bool = False
    lease_seconds: float = LEASE_SECONDS
    max_attempts: int = MAX_ATTEMPTS
