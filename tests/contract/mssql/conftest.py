from __future__ import annotations

from tests.support.mssql import mssql, mssql_wire  # noqa: F401 - fixtures
