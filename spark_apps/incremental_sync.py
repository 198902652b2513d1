"""Brings copies up to date inside a Databricks cluster: changed partitions are deleted and written anew.

    incremental_sync.py [--parallel 4] /path/to/jobs.json

Every statement was written by whoever made the job file; values are bound. Keys of a job:

* ``token``, what the copy is called when it is up to date, and ``based_on``, what it is called before;
* ``staged``: catalog, schema, table; ``properties``: the statement that shows its properties;
* ``begin``: marks the copy as being worked on; ``refresh`` (may be empty): makes Databricks read the source anew;
* ``replace``: statements ``delete`` and ``insert`` with their ``values``;
* ``finish``: writes the new marks, ``icebridge.token`` among them.

The program may be stopped anywhere and run again: a partition is deleted before it is written, and the token comes
last. A copy that somebody else began to change is left alone. One failing table does not stop the others. The last
line printed is ``ICEBRIDGE_RESULT`` and a JSON object; the exit code is 0 when all tables are up to date, 1 when some
failed, 2 when Spark or the job file failed (Databricks takes any ``sys.exit`` for a failure: the last line tells).

Needs pyspark and the standard library, nothing of IceBridge.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

TOKEN = "icebridge.token"  # noqa: S105 - name of a table property
STATE = "icebridge.state"
SYNCING = "syncing"
DONE, FOUND, FAILED, LOST = "done", "found", "failed", "lost"
LONGEST_PROBLEM = 1500
_REQUIRED = ("token", "based_on", "staged", "properties", "begin", "finish")


def main(arguments: list[str] | None = None, spark: Any = None) -> int:
    """Bring the tables of the job file up to date and return the exit code."""
    parser = argparse.ArgumentParser(description="Brings copies up to date inside a Databricks cluster.")
    parser.add_argument("path", help="file that holds the jobs, a JSON list")
    parser.add_argument("--parallel", type=int, default=4, help="tables at once")
    asked = parser.parse_args(arguments)
    jobs: list[dict[str, Any]] = []
    try:
        jobs = read_jobs(Path(asked.path).read_text(encoding="utf-8"))
        session = spark or _session()
        with ThreadPoolExecutor(max(1, asked.parallel)) as pool:
            results = list(pool.map(lambda job: sync_one(session, job), jobs))
    except Exception as error:  # noqa: BLE001 - whatever it is, the last line must say it
        results = [_result(job["token"], LOST, problem=problem_of(error)) for job in jobs]
        return _tell({"tables": results, "problem": problem_of(error)}, 2)
    states = {result["state"] for result in results}
    return _tell({"tables": results}, 2 if LOST in states else int(FAILED in states))


def read_jobs(text: str) -> list[dict[str, Any]]:
    """Return the jobs of a file.

    :raises ValueError: when they are no list of jobs, naming what is missing.
    """
    jobs = json.loads(text)
    if not isinstance(jobs, list) or not all(isinstance(job, dict) for job in jobs):
        raise ValueError("the jobs are no JSON list of objects")
    for number, job in enumerate(jobs):
        missing = [key for key in _REQUIRED if not job.get(key)]
        if missing:
            raise ValueError(f"job {number} has no {', '.join(missing)}")
    return jobs


def sync_one(spark: Any, job: dict[str, Any]) -> dict[str, Any]:
    """Bring one table up to date, or find that it is; what goes wrong is in the result."""
    began = time.monotonic()
    try:
        state, rows = _synced(spark, job)
        problem = ""
    except Exception as error:  # noqa: BLE001 - one table must not stop the others
        state, rows, problem = (FAILED if _answers(spark) else LOST), None, problem_of(error)
    print(f"{'.'.join(job['staged'])}: {state} {problem}".rstrip(), flush=True)
    return _result(job["token"], state, rows, round(time.monotonic() - began, 3), problem)


def _synced(spark: Any, job: dict[str, Any]) -> tuple[str, int | None]:
    mine = f"{SYNCING} {job['token']}"
    there = _properties(spark, job)
    state = there.get(STATE, "")
    if there.get(TOKEN) == job["token"]:
        return FOUND, None
    if there.get(TOKEN) != job["based_on"] or (state.startswith(SYNCING) and state != mine):
        raise ValueError("the copy is not the one that was to be brought up to date")
    spark.sql(job["begin"])
    if job.get("refresh"):
        spark.sql(job["refresh"])
    rows = 0
    for part in job.get("replace", ()):
        spark.sql(part["delete"], args=part["values"])
        rows += _rows_of(spark.sql(part["insert"], args=part["values"]))
    if _properties(spark, job).get(STATE) != mine:
        raise ValueError("another run took the copy over meanwhile")
    spark.sql(job["finish"])
    return DONE, rows


def _properties(spark: Any, job: dict[str, Any]) -> dict[str, str]:
    return {row[0]: row[1] for row in spark.sql(job["properties"]).collect()}


def _rows_of(answer: Any) -> int:
    """Return what an INSERT says of its rows, 0 when it does not say."""
    for row in answer.collect():
        said = row.asDict()
        return int(said.get("num_inserted_rows", said.get("num_affected_rows")) or 0)
    return 0


def _session() -> Any:
    from pyspark.sql import SparkSession

    return SparkSession.builder.getOrCreate()


def _answers(spark: Any) -> bool:
    try:
        return bool(spark.sql("SELECT 1").collect())
    except Exception:  # noqa: BLE001 - any failure of this statement is the answer
        return False


def _result(token: str, state: str, rows: int | None = None, seconds: float = 0.0, problem: str = "") -> dict[str, Any]:
    return {"token": token, "state": state, "rows": rows, "seconds": seconds, "problem": problem}


def _tell(said: dict[str, Any], code: int) -> int:
    sys.stdout.flush()
    print("ICEBRIDGE_RESULT " + json.dumps(said), flush=True)
    return code


def problem_of(error: BaseException) -> str:
    """Return an error in one line, without the stack that Java adds."""
    text = str(error).partition("JVM stacktrace")[0].partition("\n\tat ")[0]
    condition = getattr(error, "getCondition", lambda: "")() or ""
    line = " ".join(text.split()) or type(error).__name__
    return (line if condition in line else f"[{condition}] {line}")[:LONGEST_PROBLEM]


if __name__ == "__main__":
    ended = main()
    if ended:
        sys.exit(ended)
