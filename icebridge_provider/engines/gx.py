"""Great Expectations as the judge: our own expectation over aggregates that were computed elsewhere.

Great Expectations reads no table here. The engines scan both sides once; the expectation compares what they found and
GX records the verdict, which costs milliseconds a table. Importing GX takes seconds, so it happens on first use.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from icebridge_provider.exceptions import ConfigurationError, ValidationFailed
from icebridge_provider.model.report import ValidationReport
from icebridge_provider.validation.expectations import expectation_of

_lock = threading.RLock()
_session: _Session | None = None


def judge(report: ValidationReport) -> dict[str, Any]:
    """Let Great Expectations judge a report.

    :returns: GX's own answer as plain values: ``success``, ``statistics``, ``results``.
    :raises ValidationFailed: IB-540 when GX and the report disagree, which means that one of them is wrong.
    :raises ConfigurationError: IB-541 when Great Expectations is not installed.
    """
    with _lock:
        result: dict[str, Any] = _open_session().validate(report)
    if bool(result["success"]) is not report.passed:
        raise ValidationFailed(
            "IB-540",
            f"Great Expectations says {'passed' if result['success'] else 'failed'} for {report.table}, "
            f"the report says {'passed' if report.passed else 'failed'}.",
            remedy="Validate the table again; if it persists, report it together with the validation report.",
            table=report.table,
        )
    return result


def build_data_docs(verdicts: Iterable[tuple[ValidationReport, dict[str, Any] | None]], folder: Path) -> Path:
    """Render one static site of all verdicts of a wave and return its index page.

    A report without its verdict is judged again.

    Every name and value is escaped, and no page loads anything from elsewhere (see ``gx_site``): the pages may be
    opened from disk, zipped, mailed, or served beside other applications.
    """
    from icebridge_provider.engines.gx_site import write_site

    return write_site([(report, result or judge(report)) for report, result in verdicts], folder)


class _Session:
    """One ephemeral GX context with one data source, used for every verdict of this process."""

    def __init__(self) -> None:
        gx = _import_gx()
        import pandas as pd  # type: ignore[import-untyped]

        self._context = gx.get_context(mode="ephemeral")
        self._context.variables.progress_bars = {"globally": False}
        asset = self._context.data_sources.add_pandas("icebridge").add_dataframe_asset("verdicts")
        definition = asset.add_batch_definition_whole_dataframe("verdict")
        self._batch = definition.get_batch(batch_parameters={"dataframe": pd.DataFrame({"verdict": [0]})})
        self._expectation = _expectation_class()

    def validate(self, report: ValidationReport) -> dict[str, Any]:
        """Validate one report's aggregates."""
        values = expectation_of(report)
        result = self._batch.validate(self._expectation(**values))
        described = result.to_json_dict()
        return {
            "success": bool(described["success"]),
            "statistics": {"evaluated_expectations": 1, "successful_expectations": int(bool(described["success"]))},
            "results": [described],
        }


def _open_session() -> _Session:
    global _session  # noqa: PLW0603 - one context for the process, as GX means it
    if _session is None:
        _session = _Session()
    return _session


def _import_gx() -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "False"  # GX reads it when it is imported; it must not phone home
    try:
        import great_expectations as gx
    except ImportError as error:
        raise ConfigurationError(
            "IB-541",
            "Great Expectations is not installed.",
            remedy="Run: pip install 'airflow-provider-icebridge[gx]'",
        ) from error
    return gx


def _expectation_class() -> Any:
    from icebridge_provider.engines.gx_expectation import ExpectMigratedTableToMatchSource

    return ExpectMigratedTableToMatchSource
