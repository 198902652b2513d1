"""Copies tables inside a Databricks cluster: each by DEEP CLONE or by CREATE TABLE and INSERT … SELECT.

    bulk_copy.py [--parallel 4] /path/to/jobs.json
    bulk_copy.py [--parallel 4] --jobs '[{"token": …, "method": "deep_clone", "source": […], "staged": […], …}]'

A job says what to copy where; nothing is decided here. Keys:

* ``token``, the copy's name; ``method``, ``deep_clone`` or ``insert_select``;
* ``source`` and ``staged``: catalog, schema, table; ``properties``: what the finished table has;
* ``suffix``: how staged names of this migration end;
* ``refresh``: whether the source is a foreign table, whose metadata Unity Catalog keeps a copy of that grows old;
* ``columns`` (all when there are none) and ``partition_by``: for ``insert_select``;
* ``chunks``, for a large one: statements ``delete`` and ``insert`` with their ``values``, over some partitions each,
  and ``layout``, their name. A table that was left half-filled by the same layout is gone on with.

A table is finished when its property ``icebridge.token`` is the job's: that property is written last, after all rows.
So the program may be stopped anywhere and run again; what it finds half-made under the staged name it drops, if this
migration made it. One failing table does not stop the others. The last line printed is ``ICEBRIDGE_RESULT`` and a JSON
object; the exit code is 0 when all tables are there, 1 when some failed, 2 when Spark or the job file failed.
Databricks takes any ``sys.exit`` for a failure, even that with 0, and does not tell 1 from 2: the last line does.

While it runs it writes how far its tables are beside the job file (``jobs-….json`` gives ``progress-….json``): for
people only, nothing is decided by it, and a place that cannot be written to is no failure.

Needs pyspark and the standard library, nothing of IceBridge.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
import time
import unicodedata
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

TOKEN = "icebridge.token"  # noqa: S105 - name of a table property
PLAN = "icebridge.plan-id"
STATE = "icebridge.state"
CHUNKS = "icebridge.chunks"
DONE, FOUND, FAILED, LOST = "done", "found", "failed", "lost"
LONGEST_NAME = 255
LONGEST_PROBLEM = 1500
COPYING = "copying"
PROGRESS_SECONDS = 2.0
_CONTROL = frozenset({"Cc", "Cs", "Zl", "Zp"})  # Unicode categories
_CONDITION = re.compile(r"\[([A-Z][A-Z0-9_]*(?:\.[A-Z0-9_]+)*)\]")
_ESCAPED = re.compile(r"[\\'\x00-\x1f\x7f]")
_MISSING = frozenset({"TABLE_OR_VIEW_NOT_FOUND", "TABLE_NOT_FOUND"})
_TYPE_NAMES = {"byte": "TINYINT", "short": "SMALLINT", "integer": "INT", "long": "BIGINT"}
_REQUIRED = ("token", "method", "source", "staged")


def main(arguments: list[str] | None = None, spark: Any = None) -> int:
    """Copy the tables of the job file and return the exit code."""
    asked = _parser().parse_args(arguments)
    jobs: list[dict[str, Any]] = []
    try:
        jobs = read_jobs(asked.jobs, asked.path)
        spark = spark or _session()
        results = copy_all(spark, jobs, asked.parallel, Progress(asked.path))
    except Exception as error:  # noqa: BLE001 - whatever it is, the last line must say it
        results = [_result(job["token"], LOST, problem=problem_of(error)) for job in jobs]
        return _tell({"tables": results, "problem": problem_of(error)}, 2)
    states = {result["state"] for result in results}
    return _tell({"tables": results}, 2 if LOST in states else int(FAILED in states))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Copies tables inside a Databricks cluster.")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("path", nargs="?", help="file that holds the jobs, a JSON list")
    given.add_argument("--jobs", help="the jobs themselves")
    parser.add_argument("--parallel", type=int, default=4, help="tables copied at once")
    return parser


def _session() -> Any:
    from pyspark.sql import SparkSession

    return SparkSession.builder.getOrCreate()


def _tell(said: dict[str, Any], code: int) -> int:
    sys.stdout.flush()
    print("ICEBRIDGE_RESULT " + json.dumps(said), flush=True)
    return code


def read_jobs(inline: str | None, path: str | None) -> list[dict[str, Any]]:
    """Return the jobs of the command line.

    :raises ValueError: when they are no list of jobs, naming what is missing.
    """
    jobs = json.loads(Path(path).read_text(encoding="utf-8") if inline is None and path else inline or "")
    if not isinstance(jobs, list) or not all(isinstance(job, dict) for job in jobs):
        raise ValueError("the jobs are no JSON list of objects")
    for number, job in enumerate(jobs):
        missing = [key for key in _REQUIRED if not job.get(key)]
        if missing:
            raise ValueError(f"job {number} has no {', '.join(missing)}")
        if job["method"] not in METHODS:
            raise ValueError(f"job {number}: there is no method {job['method']!r}")
    return jobs


class Progress:
    """Writes which tables are under way and how the others came out, at most every 2 s and at the end."""

    def __init__(self, jobs_path: str | None) -> None:
        place = Path(jobs_path or "")
        named = place.name.startswith("jobs-")
        self._place = place.with_name("progress-" + place.name.removeprefix("jobs-")) if named else None
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, Any]] = {}
        self._written = 0.0

    def note(self, job: dict[str, Any], state: str, result: dict[str, Any] | None = None) -> None:
        """One table is this far."""
        with self._lock:
            told = {key: (result or {}).get(key) for key in ("rows", "seconds")}
            self._known[job["token"]] = {"token": job["token"], "staged": job["staged"], "state": state, **told}
            if time.monotonic() - self._written >= PROGRESS_SECONDS:
                self._write()

    def close(self) -> None:
        """Write what is not written yet."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        if self._place is None:
            return
        try:
            self._place.write_text(json.dumps({"at": time.time(), "tables": list(self._known.values())}))
        except OSError as error:
            print(f"progress is not written: {problem_of(error)}", flush=True)
            self._place = None
        self._written = time.monotonic()


def copy_all(
    spark: Any, jobs: list[dict[str, Any]], parallel: int, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Copy all tables, ``parallel`` at once, and return a result for each, in the jobs' order."""
    told = progress or Progress(None)

    def one(job: dict[str, Any]) -> dict[str, Any]:
        told.note(job, COPYING)
        result = copy_one(spark, job)
        told.note(job, result["state"], result)
        return result

    with ThreadPoolExecutor(max(1, parallel), thread_name_prefix="copy") as pool:
        results = list(pool.map(one, jobs))
    told.close()
    return results


def copy_one(spark: Any, job: dict[str, Any]) -> dict[str, Any]:
    """Copy one table, or find that it is there; what goes wrong is in the result.

    A failure is the table's own unless Spark does not answer any more: then it is nobody's, and worth another run.
    """
    began = time.monotonic()
    try:
        state, rows = _copied(spark, job)
        problem = ""
    except Exception as error:  # noqa: BLE001 - one table must not stop the others
        state, rows, problem = (FAILED if _answers(spark) else LOST), None, problem_of(error)
    result = _result(job["token"], state, rows, round(time.monotonic() - began, 3), problem)
    print(f"{'.'.join(job['staged'])}: {state} {problem}".rstrip(), flush=True)
    return result


def _result(token: str, state: str, rows: int | None = None, seconds: float = 0.0, problem: str = "") -> dict[str, Any]:
    return {"token": token, "state": state, "rows": rows, "seconds": seconds, "problem": problem}


def _answers(spark: Any) -> bool:
    try:
        return bool(spark.sql("SELECT 1").collect())
    except Exception:  # noqa: BLE001 - any failure of this statement is the answer
        return False


def _copied(spark: Any, job: dict[str, Any]) -> tuple[str, int | None]:
    staged = quoted(job["staged"])
    there = properties_of(spark, staged)
    if there is not None:
        if there.get(TOKEN) == job["token"]:
            return FOUND, None
        if not is_ours(there, job):
            raise ValueError("the staged name is taken by a table that this migration did not make")
        if chunks_done(there, job) is None:
            spark.sql(f"DROP TABLE IF EXISTS {staged}")
    if job.get("refresh"):
        spark.sql(f"REFRESH FOREIGN TABLE {quoted(job['source'])}")
    rows = METHODS[job["method"]](spark, job)
    spark.sql(f"ALTER TABLE {staged} SET TBLPROPERTIES ({properties_list(_finished(job))})")
    return DONE, rows


def properties_of(spark: Any, table: str) -> dict[str, str] | None:
    """Return the properties of a table, None when there is none."""
    try:
        return {row[0]: row[1] for row in spark.sql(f"SHOW TBLPROPERTIES {table}").collect()}
    except Exception as error:
        if condition_of(error) in _MISSING:
            return None
        raise


def is_ours(there: dict[str, str], job: dict[str, Any]) -> bool:
    """Whether this migration made the half-made table: by its mark, or by its name, for a clone carries no marks."""
    plan = job.get("properties", {}).get(PLAN)
    suffix = job.get("suffix")
    return bool(plan and there.get(PLAN) == plan) or bool(suffix and job["staged"][-1].endswith(suffix))


def _finished(job: dict[str, Any]) -> dict[str, str]:
    return {**job.get("properties", {}), TOKEN: job["token"]}


def deep_clone(spark: Any, job: dict[str, Any]) -> int | None:
    """Clone the table with all its data; a clone takes no properties."""
    spark.sql(f"CREATE TABLE {quoted(job['staged'])} DEEP CLONE {quoted(job['source'])}")
    return None


def insert_select(spark: Any, job: dict[str, Any]) -> int | None:
    """Make an empty table of the source's columns and fill it, by one INSERT or by one a chunk.

    While it is filled its state names this very attempt: if somebody else puts a table of his own under the name
    meanwhile, that one is not taken for ours.
    """
    staged, source = quoted(job["staged"]), quoted(job["source"])
    attempt = f"copying {uuid.uuid4().hex}"
    names = _names(job.get("columns", ()))
    if chunks_done(properties_of(spark, staged) or {}, job) is None:
        fields = spark.sql(_select(names or "*", source) + " LIMIT 0").schema.jsonValue()["fields"]
        spark.sql(create_statement(job, fields, attempt))
        names = _names(field["name"] for field in fields)
    if job.get("chunks"):
        rows = insert_chunks(spark, job, attempt)
    else:
        rows = _rows_of(spark.sql(f"INSERT INTO {staged} ({names}) {_select(names, source)}"))
    if (properties_of(spark, staged) or {}).get(STATE) != attempt:
        raise ValueError("another run replaced the staged table meanwhile")
    return rows


def insert_chunks(spark: Any, job: dict[str, Any], attempt: str) -> int:
    """Write what an earlier attempt has not noted. It may have written the first of these, which is deleted before."""
    staged, chunks, rows = quoted(job["staged"]), job["chunks"], 0
    done = chunks_done(properties_of(spark, staged) or {}, job) or 0
    _note_chunks(spark, job, attempt, done)
    for number, chunk in enumerate(chunks[done:], done + 1):
        if number == done + 1:
            spark.sql(chunk["delete"], args=chunk["values"])
        rows += _rows_of(spark.sql(chunk["insert"], args=chunk["values"])) or 0
        _note_chunks(spark, job, attempt, number)
        print(f"{'.'.join(job['staged'])}: {number} of {len(chunks)} chunks", flush=True)
    return rows


def chunks_done(there: dict[str, str], job: dict[str, Any]) -> int | None:
    """Return how many chunks a half-filled table holds, None when it is not one of this very layout."""
    layout, _, done = there.get(CHUNKS, "").partition(" ")
    return int(done) if job.get("chunks") and layout == job["layout"] and TOKEN not in there else None


def _note_chunks(spark: Any, job: dict[str, Any], attempt: str, done: int) -> None:
    noted = properties_list({STATE: attempt, CHUNKS: f"{job['layout']} {done}"})
    spark.sql(f"ALTER TABLE {quoted(job['staged'])} SET TBLPROPERTIES ({noted})")


def _select(names: str, source: str) -> str:
    return f"SELECT {names} FROM {source}"  # noqa: S608 - every part is quoted


def _names(columns: Iterable[str]) -> str:
    return ", ".join(quoted([name]) for name in columns)


METHODS = {"deep_clone": deep_clone, "insert_select": insert_select}


def create_statement(job: dict[str, Any], fields: list[dict[str, Any]], attempt: str) -> str:
    """Return CREATE TABLE with the marks of a half-made table: all but the token.

    :param fields: columns as ``StructType.jsonValue()`` gives them.
    """
    columns = ", ".join(_field(field, " ") for field in fields)
    parts = _names(job.get("partition_by", ()))
    marks = {key: value for key, value in job.get("properties", {}).items() if key != TOKEN}
    partitioned = f" PARTITIONED BY ({parts})" if parts else ""
    properties = properties_list({**marks, STATE: attempt})
    return f"CREATE TABLE {quoted(job['staged'])} ({columns}) USING ICEBERG{partitioned} TBLPROPERTIES ({properties})"


def _field(field: dict[str, Any], between: str) -> str:
    comment = (field.get("metadata") or {}).get("comment")
    required = "" if field.get("nullable", True) else " NOT NULL"
    said = f" COMMENT {literal(comment)}" if comment else ""
    return f"{quoted([field['name']])}{between}{type_text(field['type'])}{required}{said}"


def type_text(kind: Any) -> str:
    """Return a type of ``StructType.jsonValue()`` as SQL spells it.

    :raises ValueError: for a type that no table can have.
    """
    if isinstance(kind, str):
        return _TYPE_NAMES.get(kind, kind.upper())
    if kind["type"] == "struct":
        return f"STRUCT<{', '.join(_field(field, ': ') for field in kind['fields'])}>"
    if kind["type"] == "array":
        return f"ARRAY<{type_text(kind['elementType'])}>"
    if kind["type"] == "map":
        return f"MAP<{type_text(kind['keyType'])}, {type_text(kind['valueType'])}>"
    raise ValueError(f"a column has the type {kind['type']}, which no table can have")


def _rows_of(answer: Any) -> int | None:
    """Return what an INSERT says of its rows, None when it does not say."""
    for row in answer.collect():
        said = row.asDict()
        found = said.get("num_inserted_rows", said.get("num_affected_rows"))
        return None if found is None else int(found)
    return None


def quoted(parts: list[str]) -> str:
    """Return a name as SQL, each part in backticks.

    :raises ValueError: for a part that is empty, too long or holds a control character.
    """
    for part in parts:
        if not part or len(part) > LONGEST_NAME or any(unicodedata.category(sign) in _CONTROL for sign in part):
            raise ValueError(f"{part[:40]!r} cannot be the name of a table or column")
    return ".".join("`" + part.replace("`", "``") + "`" for part in parts)


def literal(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + _ESCAPED.sub(_escape, text) + "'"


def _escape(found: re.Match[str]) -> str:
    sign = found[0]
    return "\\" + sign if sign in "\\'" else f"\\u{ord(sign):04x}"


def properties_list(properties: dict[str, str]) -> str:
    """Return properties as they stand in the brackets of TBLPROPERTIES."""
    return ", ".join(f"{literal(key)} = {literal(value)}" for key, value in properties.items())


def condition_of(error: BaseException) -> str:
    """Return Spark's name of an error, without its second part; empty when it has none."""
    for name in ("getCondition", "getErrorClass"):
        asked = getattr(error, name, None)
        said = asked() if callable(asked) else None
        if said:
            return str(said).partition(".")[0]
    found = _CONDITION.match(str(error))
    return found[1].partition(".")[0] if found else ""


def problem_of(error: BaseException) -> str:
    """Return an error in one line, without the stack that Java adds."""
    text = str(error).partition("JVM stacktrace")[0].partition("\n\tat ")[0]
    line = " ".join(text.split()) or type(error).__name__
    condition = condition_of(error)
    said = line if not condition or condition in line else f"[{condition}] {line}"
    return said[:LONGEST_PROBLEM]


if __name__ == "__main__":
    ended = main()
    if ended:
        sys.exit(ended)
