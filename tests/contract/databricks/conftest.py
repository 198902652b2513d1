from __future__ import annotations

from tests.support.databricks import databricks, databricks_uc  # noqa: F401 - fixtures
from tests.support.exports import exports  # noqa: F401 - a fixture
