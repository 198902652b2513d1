"""Operators that share tables of Databricks with Snowflake: plan them, export one, load one, report on the run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import AssetAlias

from icebridge_provider.operators import lineage
from icebridge_provider.operators.base import IceBridgeOperator
from icebridge_provider.operators.links import SharesLink, SnowflakeQueryLink, WarehouseQueryLink, shares_page
from icebridge_provider.operators.share_rules import by_preset
from icebridge_provider.operators.share_table import ShareTableOperator
from icebridge_provider.operators.tables import ALIAS

if TYPE_CHECKING:
    from airflow.sdk import Context

    from icebridge_provider.model.running import Waiting
    from icebridge_provider.model.share import Share, ShareResult
    from icebridge_provider.model.snowflake import ShareManifest
    from icebridge_provider.planning.snowflake.requests import ShareForm, ShareRequest
    from icebridge_provider.steps.share_site import ShareSite

LONGEST_RUN = 250  # characters of an id


class PlanSharesOperator(IceBridgeOperator):
    """Plans what of Databricks is shared with Snowflake, a table each, for ``expand_kwargs``.

    Everything is checked before the first byte moves: columns, types, keys, conditions, targets, rights, that the stage
    covers the location. Planned again under the same run id, the same comes back.

    :param source_conn_id: connection of type ``databricks`` with the SQL warehouse that exports.
    :param target_conn_id: connection of type ``snowflake``.
    :param storage_conn_id: connection of type ``icebridge_catalog`` with the keys of the export's bucket; empty for the
        worker's own rights.
    :param tables: ``catalog.schema.table -> DB.SCHEMA.TABLE; mode=…; keys=…; where=…; limit=…``, one a line, a list of
        lines or objects, or its JSON text.
    :param mode: ``append``, ``replace`` or ``upsert``, where a line does not say.
    :param keys: key columns of an upsert, a list, its JSON text or with commas between.
    :param where: one condition on the tables' columns; values may stand as ``:name``.
    :param values: of the condition's ``:name`` places, an object or its JSON text.
    :param limit: most rows a table; empty for all, or as the preset says.
    :param preset: ``production``, or ``poc``: 1,000 rows, one try, stops at the first failure.
    :param publish: how ``replace`` is done: ``rewrite`` or ``swap``.
    :param stage: ``DB.SCHEMA.STAGE`` over the bucket.
    :param location: where files go, ``s3://bucket/folder``; empty takes the stage's own.
    :param control: ``DB.SCHEMA`` of IceBridge's own tables; empty takes the stage's.
    :param upper: whether names of new columns are written in capitals.
    :param add_columns: whether columns that the target lacks are added.
    :param widen_columns: whether columns of the target that are too narrow are made longer.
    :param zero_copy: only say how Snowflake could read the tables where they are; nothing is copied.
    :param run_id: id of the run; empty: made of the DAG and its run. What was loaded under it is not loaded again.
    """

    template_fields: Sequence[str] = (
        "source_conn_id",
        "target_conn_id",
        "storage_conn_id",
        "tables",
        "mode",
        "keys",
        "where",
        "values",
        "limit",
        "preset",
        "publish",
        "stage",
        "location",
        "control",
        "upper",
        "add_columns",
        "widen_columns",
        "zero_copy",
        "run_id",
    )
    operator_extra_links = (SharesLink(),)

    def __init__(
        self,
        *,
        source_conn_id: str,
        target_conn_id: str,
        tables: str | Sequence[Any],
        stage: str,
        storage_conn_id: str = "",
        mode: str = "append",
        keys: Sequence[str] | str = (),
        where: str = "",
        values: Mapping[str, Any] | str | None = None,
        limit: int | str | None = None,
        preset: str = "production",
        publish: str = "rewrite",
        location: str = "",
        control: str = "",
        upper: bool | str = False,
        add_columns: bool | str = True,
        widen_columns: bool | str = True,
        zero_copy: bool | str = False,
        run_id: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_conn_id = source_conn_id
        self.target_conn_id = target_conn_id
        self.storage_conn_id = storage_conn_id
        self.tables = tables
        self.mode = mode
        self.keys = keys
        self.where = where
        self.values = values
        self.limit = limit
        self.preset = preset
        self.publish = publish
        self.stage = stage
        self.location = location
        self.control = control
        self.upper = upper
        self.add_columns = add_columns
        self.widen_columns = widen_columns
        self.zero_copy = zero_copy
        self.run_id = run_id
        self.links: dict[str, str] = {}

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Plan.

        :returns: ``run_id, document, caption`` of each table; nothing for ``zero_copy``, whose advice is in the log and
            in the XCom ``advice``.
        """
        from icebridge_provider.hooks.share import share_site
        from icebridge_provider.hooks.site import actor_of
        from icebridge_provider.planning.snowflake.requests import read_requests

        run_id = self.run_id or run_of(context)
        requests = read_requests(self._form())
        self.links[SharesLink().xcom_key] = shares_page(run_id)
        ends = self.source_conn_id, self.target_conn_id, self.storage_conn_id
        with (
            by_preset(self.preset, self, context),
            share_site(*ends, actor=actor_of(context), preset=self.preset) as site,
        ):
            if switched(self.zero_copy):
                return self._advise(site, requests, run_id, context)
            return self._plan(site, requests, run_id)

    def _plan(self, site: ShareSite, requests: Sequence[ShareRequest], run_id: str) -> list[dict[str, Any]]:
        from icebridge_provider.hooks.share import location_check
        from icebridge_provider.steps.share_plan import plan_shares, xcom

        check = location_check(self.source_conn_id, site.source)
        made = [xcom(share) for share in plan_shares(site, requests, run_id, check_location=check)]
        self.log.info("%d tables: %s", len(made), ", ".join(item["caption"] for item in made))
        return [dict(item) for item in made]

    def _advise(
        self, site: ShareSite, requests: Sequence[ShareRequest], run_id: str, context: Context
    ) -> list[dict[str, Any]]:
        from icebridge_provider.operators.share_report import advice

        told = advice(site, requests, run_id)
        for line in (line for table in told for line in table.pop("lines")):
            self.log.info("%s", line)
        context["ti"].xcom_push("advice", told)
        return []

    def _form(self) -> ShareForm:
        from icebridge_provider.hooks.share import database_of
        from icebridge_provider.planning.snowflake.requests import ShareForm

        return ShareForm(
            tables=unquoted(self.tables),
            mode=self.mode,
            keys=unquoted(self.keys),
            where=self.where,
            values=unquoted(self.values) or {},
            limit=self.limit,
            preset=self.preset,
            publish=self.publish,
            stage=self.stage,
            location=self.location,
            control=self.control,
            upper=switched(self.upper),
            add_columns=switched(self.add_columns),
            widen_columns=switched(self.widen_columns),
            database=database_of(self.target_conn_id),
        )


class DatabricksExportOperator(ShareTableOperator):
    """Exports one planned table to Parquet files by a SQL warehouse, a manifest last.

    What is exported already is not exported again. No row passes through the worker.
    """

    operator_extra_links = (WarehouseQueryLink(), SharesLink())

    def work(self, site: ShareSite, share: Share) -> ShareManifest | Waiting:
        """Export."""
        from icebridge_provider.steps.share import export

        return export(site, share)

    def finish(self, site: ShareSite, share: Share, done: ShareManifest, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """Return ``run_id, document, table, location, rows, files, bytes, limited``."""
        return {
            "run_id": share.run_id,
            "document": share.document,
            "table": share.name,
            "location": done.location,
            "rows": done.rows,
            "files": len(done.files),
            "bytes": sum(file.size for file in done.files),
            "limited": done.limited,
        }

    def show_query(self, query_id: str) -> None:
        """The statement in the workspace's query history."""
        from icebridge_provider.hooks.share import source_page

        self.links[WarehouseQueryLink().xcom_key] = source_page(self.source_conn_id, query_id)


class SnowflakeLoadOperator(ShareTableOperator):
    """Loads one exported table into Snowflake: its rows become visible in one transaction, once, or not at all.

    What is loaded already is not loaded again. An asset event tells of the table.
    """

    operator_extra_links = (SnowflakeQueryLink(), SharesLink())

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("outlets", [AssetAlias(ALIAS)])
        super().__init__(**kwargs)

    def work(self, site: ShareSite, share: Share) -> ShareResult | Waiting:
        """Load."""
        from icebridge_provider.steps.share import load

        return load(site, share)

    def finish(self, site: ShareSite, share: Share, done: ShareResult, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """Return ``run_id, document, table, mode, rows, files, bytes, again, limited``; tell lineage and assets."""
        from icebridge_provider.operators.share_tell import moved_by, tell_assets

        for warning in done.warnings:
            self.log.warning("%s", warning)
        for file in done.stale:
            self.log.warning("%s is not of this run and was not loaded.", file)
        self.moved = moved_by(self.source_conn_id, self.target_conn_id, share, done)
        tell_assets(self.target_conn_id, share, done, context)
        return {
            "run_id": share.run_id,
            "document": share.document,
            "table": share.name,
            "mode": share.mode.value,
            "rows": done.rows,
            "files": done.files,
            "bytes": done.bytes,
            "again": done.again,
            "limited": done.limited,
        }

    def show_query(self, query_id: str) -> None:
        """The statement in Snowsight."""
        from icebridge_provider.hooks.share import target_page

        self.links[SnowflakeQueryLink().xcom_key] = target_page(self.target_conn_id, query_id)

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> Any:
        """Tell OpenLineage's provider, which looks for this name, what was moved."""
        return lineage.facets(self.moved)


class ReportSharesOperator(IceBridgeOperator):
    """Says how every table of a run came out, and fails when one was not loaded.

    :param run_id: the run, as in :class:`PlanSharesOperator`.
    :param zero_copy: whether the run was for advice only.
    """

    template_fields: Sequence[str] = ("run_id", "zero_copy")
    operator_extra_links = (SharesLink(),)

    def __init__(self, *, run_id: str = "", zero_copy: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id
        self.zero_copy = zero_copy
        self.links: dict[str, str] = {}

    def execute(self, context: Context) -> dict[str, Any]:
        """Report.

        :returns: ``run_id, limited, loaded, again, rows`` and ``tables``, a list of what is known of each.
        :raises ConfigurationError: IB-950 for a run that was not planned.
        :raises ValidationFailed: IB-955 naming the tables that are not loaded.
        """
        from icebridge_provider.hooks.ledger import LedgerHook
        from icebridge_provider.operators.share_report import refuse_unloaded, report

        run_id = self.run_id or run_of(context)
        self.links[SharesLink().xcom_key] = shares_page(run_id)
        if switched(self.zero_copy):
            self.log.info("Nothing was to be copied; the advice is in the log of the planning task.")
            return {"run_id": run_id, "tables": []}
        found = report(LedgerHook().ledger(), run_id)
        for line in found.pop("lines"):
            self.log.info("%s", line)
        refuse_unloaded(found)
        return found


def run_of(context: Context) -> str:
    """Return the id of a run's shares: the same for a task that is tried again or cleared."""
    run = context["dag_run"]
    name = f"{run.dag_id}/{run.run_id}"
    if len(name) <= LONGEST_RUN:
        return name
    return f"{name[: LONGEST_RUN - 17]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def unquoted(given: Any) -> Any:
    """Return what a form hands on as JSON text; other texts are taken as they are."""
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given)
    except ValueError:
        return given


def switched(given: bool | str) -> bool:
    """Return a switch that a form may hand on as text."""
    return str(given).strip().lower() in {"true", "1", "yes", "on"}
