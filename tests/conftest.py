from __future__ import annotations

from tests.support.snowflake import snowflake, snowflake_s3  # noqa: F401 - fixtures: one account for the whole session
