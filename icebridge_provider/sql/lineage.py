"""Who used some tables: Databricks' lineage, query history and view texts, as one statement each for all tables.

``:tables`` is bound to a JSON array of ``{"name", "pattern"}`` (see :func:`wanted`), ``:days`` to how far to look back.
Columns after Databricks' pages "Lineage system tables reference", "Query history system table reference" and
"VIEWS (information_schema)".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

MOST_ROWS = 10_000
_WANTED = (
    "WITH wanted AS (SELECT one.name, one.pattern FROM (SELECT explode(from_json(:tables,"
    " 'array<struct<name: string, pattern: string>>')) AS one) AS listed)"
)
_WORD = r"0-9a-z_\u0080-\uffff"  # what may continue a name, in lower case; Java's \w knows no other alphabets
_SINCE = "date_sub(current_date(), CAST(:days AS INT))"


def wanted(tables: Iterable[Sequence[str]]) -> str:
    """Return the value of ``:tables`` for names of three parts: catalog, schema, table."""
    named = [{"name": ".".join(parts).lower(), "pattern": mention(parts)} for parts in tables]
    return json.dumps(named, ensure_ascii=False)


def mention(parts: Sequence[str]) -> str:
    """Return the regular expression by which a text names a table, with or without its catalog.

    For texts in lower case, without backticks and without blanks around dots; Java and Python read it alike.
    """
    catalog, *rest = (re.escape(part.lower()) for part in parts)
    name = r"\.".join(rest)
    return rf"(^|[^{_WORD}.])({catalog}\.)?{name}($|[^{_WORD}])"


def table_lineage() -> str:
    """Return what read and what wrote the tables: one row for each table, way, entity and principal.

    ``name, how, entity_type, entity_id, view_name, created_by, seen_ms, times``; ``view_name`` where a view was made.
    """
    rows = " UNION ALL ".join(
        _moved(how, side, view)
        for how, side, view in (
            ("reads", "source", "CASE WHEN l.target_type = 'VIEW' THEN l.target_table_full_name END"),
            ("writes", "target", "CAST(NULL AS STRING)"),
        )
    )
    keys = "name, how, entity_type, entity_id, view_name, created_by"
    return (
        f"{_WANTED} SELECT {keys}, unix_millis(max(event_time)) AS seen_ms, count(*) AS times FROM ({rows}) AS m"  # noqa: S608 - constants
        f" GROUP BY {keys} ORDER BY seen_ms DESC LIMIT {MOST_ROWS + 1}"
    )


def _moved(how: str, side: str, view: str) -> str:
    return (
        f"SELECT w.name, '{how}' AS how, l.entity_type, l.entity_id, {view} AS view_name, l.created_by, l.event_time"  # noqa: S608 - constants
        f" FROM `system`.`access`.`table_lineage` AS l JOIN wanted AS w ON lower(l.{side}_table_full_name) = w.name"
        f" WHERE l.event_date >= {_SINCE}"
    )


def query_history() -> str:
    """Return whose statements name the tables, a row for each table, principal, client and what ran the statement.

    ``name, executed_by, client, job_id, notebook_id, dashboard_id, pipeline_id, query_id, seen_ms, times``. Rows
    without a name count the statements of one principal whose text is not shown.
    """
    source = (
        "h.query_source.job_info.job_id AS job_id, h.query_source.notebook_id AS notebook_id,"
        " coalesce(h.query_source.dashboard_id, h.query_source.legacy_dashboard_id) AS dashboard_id,"
        " h.query_source.pipeline_info.pipeline_id AS pipeline_id, h.query_source.sql_query_id AS query_id"
    )
    keys = "name, executed_by, client, job_id, notebook_id, dashboard_id, pipeline_id, query_id"
    text = _plain("h.statement_text")
    return (
        f"{_WANTED} SELECT {keys}, unix_millis(max(start_time)) AS seen_ms, count(*) AS times FROM (SELECT w.name,"  # noqa: S608 - constants
        f" h.executed_by, h.client_application AS client, {source}, h.start_time FROM `system`.`query`.`history` AS h"
        f" LEFT JOIN wanted AS w ON {text} RLIKE w.pattern WHERE h.start_time >= {_SINCE}"
        " AND (w.name IS NOT NULL OR coalesce(h.statement_text, '') = '')) AS m"
        f" GROUP BY {keys} ORDER BY seen_ms DESC LIMIT {MOST_ROWS + 1}"
    )


def views() -> str:
    """Return the views whose text names the tables: ``name, view_name, owner``; without a name: the text is hidden."""
    text = _plain("v.view_definition")
    view = "concat_ws('.', v.table_catalog, v.table_schema, v.table_name)"
    return (
        f"{_WANTED} SELECT w.name, {view} AS view_name, t.table_owner AS owner"  # noqa: S608 - constants
        " FROM `system`.`information_schema`.`views` AS v LEFT JOIN `system`.`information_schema`.`tables` AS t"
        " ON t.table_catalog = v.table_catalog AND t.table_schema = v.table_schema AND t.table_name = v.table_name"
        f" LEFT JOIN wanted AS w ON {text} RLIKE w.pattern"
        " WHERE (w.name IS NOT NULL OR coalesce(v.view_definition, '') = '')"
        f" AND v.table_schema <> 'information_schema' LIMIT {MOST_ROWS + 1}"
    )


def plain(text: str) -> str:
    """Return a text as :func:`mention` wants it; the same as the statements do."""
    return re.sub(r"\s*\.\s*", ".", text.lower().replace("`", ""))


def _plain(column: str) -> str:
    return rf"regexp_replace(replace(lower({column}), '`', ''), '\\s*[.]\\s*', '.')"
