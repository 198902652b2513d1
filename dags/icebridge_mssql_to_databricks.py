"""Runs the queries of a folder for every country and writes their rows as Parquet files, a task a query and country."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from icebridge_provider.hooks.settings import settings
from icebridge_provider.operators.extract import PlanExtractionOperator, SqlServerToVolumeOperator
from icebridge_provider.operators.params import CONNECTION
from icebridge_provider.operators.retry import shared_arguments

_FROM, _TO = "What to extract", "Where to"

with DAG(
    "icebridge_mssql_to_databricks",
    description="Extract SQL Server queries to a Databricks Volume, an object store or a folder",
    doc_md="""
Every `queries/*.sql` of the folder is run for every country of `config/`, each in a task of its own. Rows stream into
Parquet files below `<location>/<country>/<query>`; `_manifest.json` stands there only when all of them are whole.
`docs/sqlserver.md` says how the folder looks.
""",
    schedule=None,
    catchup=False,
    max_active_runs=4,
    tags=["icebridge", "mssql", "extraction"],
    params={
        "source_conn_id": Param(
            "", type="string", title="SQL Server", section=_FROM, pattern=r"^$|" + CONNECTION,
            description="Connection of type mssql. Empty: SQLSERVER_HOST and the like of the workers' environment.",
        ),
        "folder": Param(
            settings().extraction_folder, type="string", title="Folder", section=_FROM,
            description="Folder with queries/ and config/ on the workers.",
        ),
        "queries": Param(
            [], type="array", items={"type": "string"}, title="Queries", section=_FROM,
            description="Names, or globs over them, one a line; none means all.",
        ),
        "countries": Param(
            [], type="array", items={"type": "string"}, title="Countries", section=_FROM,
            description="Names of files in config/, or globs over them, one a line; none means all.",
        ),
        "parameters": Param(
            {}, type=["object", "null"], title="Parameters", section=_FROM,
            description='Win over those of the files. Example: {"from_date": "2026-01-01"}',
        ),
        "target_conn_id": Param(
            "", type="string", title="Target connection", section=_TO, pattern=r"^$|" + CONNECTION,
            description="Connection of type databricks for a Volume, of a catalog for an object store; empty for a "
            "folder, or for DATABRICKS_HOST and the like of the workers' environment.",
        ),
        "location": Param(
            "", type="string", title="Location", section=_TO,
            description="Example: /Volumes/main/raw/landing. Empty: the Volume of the workers' environment.",
        ),
    },
    default_args=shared_arguments(),
) as dag:  # fmt: skip
    plan = PlanExtractionOperator(
        task_id="plan",
        folder="{{ params.folder }}",
        queries="{{ params.queries | tojson }}",
        countries="{{ params.countries | tojson }}",
        parameters="{{ params.parameters | tojson if params.parameters else '' }}",
    )
    SqlServerToVolumeOperator.partial(
        task_id="extract",
        map_index_template="{{ task.caption }}",
        source_conn_id="{{ params.source_conn_id }}",
        target_conn_id="{{ params.target_conn_id }}",
        location="{{ params.location }}",
        folder="{{ params.folder }}",
    ).expand_kwargs(plan.output)
