"""Looks at a catalog and writes the assessment of a migration; changes nothing."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from icebridge_provider.operators.catalog import AssessOperator, InventoryOperator
from icebridge_provider.operators.params import CONNECTION
from icebridge_provider.operators.retry import shared_arguments

with DAG(
    "icebridge_inventory",
    description="Inventory and assessment of a catalog, read-only",
    doc_md="Reads every table's metadata, finds broken ones, and writes one HTML file to mail.",
    schedule=None,
    catchup=False,
    max_active_runs=2,
    tags=["icebridge", "inventory"],
    params={
        "conn_id": Param(type="string", title="Connection", pattern=CONNECTION, description="Catalog to look at."),
        "target_conn_id": Param(
            "", type="string", title="Target connection", pattern=r"^$|" + CONNECTION,
            description="Catalog the tables would move to; may be empty.",
        ),
        "tables": Param(["*"], type="array", items={"type": "string"}, title="Tables", description="One glob a line."),
        "inspect": Param(
            "files", type="string", enum=["metadata", "manifests", "files"], title="How deep to look",
            description="files also asks the storage whether every file is there and whole.",
        ),
        "path": Param("", type="string", title="Report", description="Path of the HTML file; may be empty."),
    },
    default_args=shared_arguments(),
) as dag:  # fmt: skip
    inventory = InventoryOperator(
        task_id="inventory",
        conn_id="{{ params.conn_id }}",
        tables="{{ params.tables | tojson }}",
        inspect="{{ params.inspect }}",
    )
    AssessOperator(
        task_id="assess",
        inventory_id="{{ ti.xcom_pull(task_ids='inventory')['inventory_id'] }}",
        target_conn_id="{{ params.target_conn_id }}",
        path="{{ params.path }}",
    ).set_upstream(inventory)
