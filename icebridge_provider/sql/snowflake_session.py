"""Snowflake's statements about sessions, running statements and stages; names quoted in exact case, values bound."""

from __future__ import annotations

from collections.abc import Sequence

from icebridge_provider.model.snowflake import Statement
from icebridge_provider.sql.snowflake import SESSION, name


def session_settings(lock_seconds: int) -> str:
    """Set up a session: :data:`SESSION`, and what an account may have set otherwise and our statements rely on.

    :param lock_seconds: how long a statement waits for a lock; Snowflake's default is 12 hours.
    """
    return (
        f"{SESSION}, AUTOCOMMIT = TRUE, QUOTED_IDENTIFIERS_IGNORE_CASE = FALSE, MULTI_STATEMENT_COUNT = 1,"
        f" LOCK_TIMEOUT = {int(lock_seconds)}"
    )


def find_own_query(tag: str, *, until: str = "", limit: int = 10_000, hours: int = 23) -> Statement:
    """Find a statement of this user by its tag, among as many of the newest as the history gives at once.

    It needs a current database, whichever: its INFORMATION_SCHEMA tells of the whole account.

    One row: id of the newest with the tag (NULL: none), how many statements were seen, when the oldest of them ended.
    23 hours: what is found still has its result, which Snowflake keeps for 24.

    :param until: only statements that ended before, ISO 8601; empty: now.
    """
    start = f"END_TIME_RANGE_START => DATEADD('hour', -{int(hours)}, CURRENT_TIMESTAMP())"
    end = ", END_TIME_RANGE_END => %(until)s::TIMESTAMP_LTZ" if until else ""
    ours = "IFF(QUERY_TAG = %(tag)s, START_TIME, NULL)"
    return Statement(
        text=(
            f"SELECT MAX_BY(QUERY_ID, {ours}), COUNT(*), MIN(IFF(END_TIME < START_TIME, NULL, END_TIME))"  # noqa: S608
            f" FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY_BY_USER({start}{end}, RESULT_LIMIT => {int(limit)}))"
        ),
        values={"tag": tag, "until": until} if until else {"tag": tag},
    )


def cancel_session(session_id: int) -> Statement:
    """Cancel what runs in another session of this user."""
    return Statement(text="SELECT SYSTEM$CANCEL_ALL_QUERIES(%(session_id)s)", values={"session_id": session_id})


def describe_stage(stage: Sequence[str]) -> str:
    """List the properties of a stage: parent_property, property, property_type, property_value, property_default."""
    return f"DESCRIBE STAGE {name(*stage)}"
