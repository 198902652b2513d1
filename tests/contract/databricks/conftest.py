from __future__ import annotations

from tests.support.databricks import databricks, databricks_uc  # noqa: F401 - fixtures
