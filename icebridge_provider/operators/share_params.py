"""The form of ``icebridge_databricks_to_snowflake``, and how its fields come to the operators."""

from __future__ import annotations

from airflow.sdk import Param

from icebridge_provider.operators.params import CONNECTION
from icebridge_provider.planning.snowflake.presets import MOST_ROWS, PRESETS

RUN_ID = "{{ params['run_id'] or run_id }}"
CONNECTIONS = {name: f"{{{{ params['{name}'] }}}}" for name in ("source_conn_id", "target_conn_id", "storage_conn_id")}
_WHAT, _HOW, _WHERE, _MORE = "What to share", "How", "Where files pass", "More"
_JSON = ("tables", "keys", "values")


def share_params() -> dict[str, Param]:
    """Return the form."""
    return {**_what(), **_how(), **_where(), **_more()}


def share_templates() -> dict[str, str]:
    """Return the templates that hand the form on to ``PlanSharesOperator``.

    Items, not attributes: ``params.keys`` is a method of every mapping.
    """
    texts = {name: f"{{{{ params['{name}'] }}}}" for name in share_params() if name not in _JSON}
    json_texts = {name: f"{{{{ params['{name}'] | tojson }}}}" for name in _JSON}
    return {**texts, **json_texts, "limit": "{{ params['limit'] or '' }}", "run_id": RUN_ID}


def _what() -> dict[str, Param]:
    return {
        "source_conn_id": Param(
            type="string", title="Databricks", section=_WHAT, pattern=CONNECTION,
            description="Connection of type databricks with a SQL warehouse (warehouse_id or http_path in its extra).",
        ),
        "target_conn_id": Param(
            type="string", title="Snowflake", section=_WHAT, pattern=CONNECTION,
            description="Connection of type snowflake.",
        ),
        "tables": Param(
            type=["string", "array"], format="multiline", title="Tables", section=_WHAT, minLength=1, minItems=1,
            items={"type": ["string", "object"]},
            description="One a line: catalog.schema.table, or catalog.schema.table -> DB.SCHEMA.TABLE; mode=upsert; "
            "keys=id; where=day >= '2024-01-01'; limit=1000. What a line does not say is as below.",
        ),
        "mode": Param(
            "append", type="string", enum=["append", "replace", "upsert"], title="Mode", section=_WHAT,
            description="What becomes of rows that the Snowflake table has: append keeps them, replace takes them out "
            "in the same transaction, upsert updates those with equal keys.",
        ),
        "keys": Param(
            [], type="array", items={"type": "string"}, title="Keys", section=_WHAT,
            description="Key columns of an upsert as the source spells them, one a line.",
        ),
        "where": Param(
            "", type="string", title="Only rows where", section=_WHAT,
            description="One condition on the tables' columns. Example: day >= :since",
        ),
        "values": Param(
            {}, type=["object", "null"], title="Values", section=_WHAT,
            description='Of the :names in the condition; they are bound. Example: {"since": "2024-01-01"}',
        ),
        "limit": Param(
            None, type=["null", "integer"], minimum=1, maximum=MOST_ROWS, title="Most rows", section=_WHAT,
            description="Of each table; empty for all, or what the preset says. The result is then called LIMITED.",
        ),
    }  # fmt: skip


def _how() -> dict[str, Param]:
    return {
        "preset": Param(
            "production", type="string", enum=list(PRESETS), title="Preset", section=_HOW,
            description="production: all rows, tried again after transient errors. poc: 1,000 rows, one try, stops at "
            "the first failure, LIMITED in every title.",
        ),
        "publish": Param(
            "rewrite", type="string", enum=["rewrite", "swap"], title="How to replace", section=_HOW,
            description="rewrite: DELETE and INSERT in one transaction. swap: a new table is filled and swapped in.",
        ),
        "add_columns": Param(
            True, type="boolean", title="Add columns", section=_HOW,
            description="Add columns that the Snowflake table lacks; otherwise the table is refused.",
        ),
        "widen_columns": Param(
            True, type="boolean", title="Widen columns", section=_HOW,
            description="Make NUMBER and VARCHAR columns longer where they are too short, or refuse the table.",
        ),
        "upper": Param(
            False, type="boolean", title="Names in capitals", section=_HOW,
            description="Write names of new columns in capitals, so that queries need no quotes.",
        ),
        "zero_copy": Param(
            False, type="boolean", title="Advice on zero copy", section=_HOW,
            description="Only say how Snowflake could read the tables where they are, with statements and prices; "
            "nothing is copied.",
        ),
    }  # fmt: skip


def _where() -> dict[str, Param]:
    return {
        "stage": Param(
            type="string", title="Stage", section=_WHERE, minLength=1,
            description="DB.SCHEMA.STAGE over the bucket, made with a storage integration.",
        ),
        "location": Param(
            "", type="string", title="Location", section=_WHERE, pattern=r"^$|^[a-z0-9]+://\S+$",
            description="Folder that Databricks writes to, below the stage's URL; empty takes that URL. Example: "
            "s3://databricks-snowflake-share",
        ),
        "control": Param(
            "", type="string", title="Schema of IceBridge's tables", section=_WHERE,
            description="DB.SCHEMA of ICEBRIDGE_LOADS and of staging tables; empty takes the stage's schema.",
        ),
        "storage_conn_id": Param(
            "", type="string", title="Storage connection", section=_WHERE, pattern=r"^$|" + CONNECTION,
            description="Connection of type icebridge_catalog with s3 keys, by which the worker lists files and keeps "
            "the manifest; empty for the worker's own rights.",
        ),
    }  # fmt: skip


def _more() -> dict[str, Param]:
    return {
        "run_id": Param(
            "", type="string", title="Run id", section=_MORE, maxLength=250,
            description="Go on with the run of this id; what it has loaded is not loaded again. Empty: a new run.",
        ),
    }  # fmt: skip
