"""The expectation itself. Importing this module imports Great Expectations: only ``engines.gx`` does."""

from __future__ import annotations

from typing import Any, ClassVar

from great_expectations.expectations.expectation import BatchExpectation

from icebridge_provider.validation.expectations import verdict_of


class ExpectMigratedTableToMatchSource(BatchExpectation):
    """Expect the target's aggregates to equal the source's.

    Needs no metric of GX: both sides were computed by engines that scanned the tables once.
    """

    table: str
    target: str
    kind: str
    source_snapshot_id: int | None = None
    target_snapshot_id: int | None = None
    source_values: dict[str, str]
    target_values: dict[str, str]
    details: dict[str, str] = {}  # noqa: RUF012 - pydantic copies defaults
    refused: list[str] = []  # noqa: RUF012
    differences: list[dict[str, Any]] = []  # noqa: RUF012

    metric_dependencies: ClassVar[tuple[str, ...]] = ()
    domain_keys: ClassVar[tuple[str, ...]] = ("batch_id", "table")
    success_keys: ClassVar[tuple[str, ...]] = ("source_values", "target_values", "details", "refused")

    def _validate(
        self,
        metrics: dict[str, Any],  # noqa: ARG002 - GX's signature
        runtime_configuration: dict[str, Any] | None = None,  # noqa: ARG002
        execution_engine: Any = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        verdict = verdict_of(
            {
                "source_values": self.source_values,
                "target_values": self.target_values,
                "details": self.details,
                "refused": self.refused,
            }
        )
        observed = f"{len(self.source_values)} checks, {len(verdict['mismatches'])} failed"
        return {
            "success": verdict["success"],
            "result": {"observed_value": observed, "details": {"mismatches": verdict["mismatches"]}},
        }
