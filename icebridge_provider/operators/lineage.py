"""What OpenLineage is told of copies and cut-overs, where its provider is installed.

Tables of Unity Catalog are named as Airflow's own Databricks operators name them: ``databricks://<workspace host>`` and
``catalog.schema.table``. Other catalogs go by their connection, as in the tables' asset URIs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from icebridge_provider.model.identifier import TableIdentifier
    from icebridge_provider.model.plan import TablePlan
    from icebridge_provider.ports import Catalog
    from icebridge_provider.steps.site import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A table as OpenLineage names it."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One table that a task was done with: where its rows came from, where they are, and under which name before."""

    source: Dataset
    target: Dataset
    renamed_from: Dataset | None = None
    rows: int | None = None
    bytes: int | None = None


def dataset_of(catalog: Catalog, table: TableIdentifier) -> Dataset:
    """Return a table's name for OpenLineage."""
    from icebridge_provider.catalogs.unity.catalog import UnityCatalog

    if isinstance(catalog, UnityCatalog):
        return Dataset(namespace=f"databricks://{catalog.host}", name=".".join(catalog.parts(table)))
    return Dataset(namespace=f"icebridge://{table.catalog}", name=".".join((*table.namespace, table.name)))


def copied(site: Site, tables: Sequence[TablePlan], done: Mapping[str, Mapping[str, Any]]) -> list[Moved]:
    """Return what a copy moved: sources to staged copies."""
    return [
        Moved(
            source=dataset_of(site.source, table.source),
            target=dataset_of(site.target, table.staged),
            rows=done[str(table.source)].get("rows"),
            bytes=done[str(table.source)].get("bytes_copied"),
        )
        for table in tables
        if str(table.source) in done
    ]


def published(site: Site, tables: Sequence[TablePlan], done: Mapping[str, Mapping[str, Any]]) -> list[Moved]:
    """Return what a cut-over moved: sources to targets, whose staged names are gone."""
    return [
        Moved(
            source=dataset_of(site.source, table.source),
            target=dataset_of(site.target, table.target),
            renamed_from=dataset_of(site.target, table.staged),
        )
        for table in tables
        if str(table.source) in done
    ]


def facets(moved: Sequence[Moved]) -> Any:
    """Return an ``OperatorLineage``; None without OpenLineage's provider, or when nothing moved."""
    try:
        extractors = import_module("airflow.providers.openlineage.extractors")
        events = import_module("openlineage.client.event_v2")
    except ImportError:
        return None
    if not moved:
        return None
    inputs = [events.InputDataset(namespace=item.source.namespace, name=item.source.name) for item in moved]
    return extractors.OperatorLineage(inputs=inputs, outputs=[_output(events, item) for item in moved])


def _output(events: Any, item: Moved) -> Any:
    facet = import_module("openlineage.client.facet_v2")
    about: dict[str, Any] = {}
    if item.renamed_from is not None:
        change = facet.lifecycle_state_change_dataset
        before = change.PreviousIdentifier(namespace=item.renamed_from.namespace, name=item.renamed_from.name)
        about["lifecycleStateChange"] = change.LifecycleStateChangeDatasetFacet(
            lifecycleStateChange=change.LifecycleStateChange.RENAME, previousIdentifier=before
        )
    counted: dict[str, Any] = {}
    if item.rows is not None:
        statistics = facet.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet
        counted["outputStatistics"] = statistics(rowCount=item.rows, size=item.bytes)
    return events.OutputDataset(
        namespace=item.target.namespace, name=item.target.name, facets=about, outputFacets=counted
    )
