"""Compares sources and copies inside a Databricks cluster: rows, sums of every column, 128-bit sums of all rows.

    gx_runner.py [--parallel 4] /path/to/jobs.json

Every statement was written by whoever made the job file. Keys of a job: ``token``, its name; ``table``, for messages;
``refresh`` (may be empty), which makes Databricks read the source anew; ``source`` and ``target``, which answer with
the sums of docs/fingerprint.md, a row for every bucket. Two tables with the same rows give the same answers.

Great Expectations judges when it is installed on the cluster, this program otherwise; the result says who did. Both
sides are read by the cluster's own engine: what that engine does not see on either side it does not miss either. So
this is a check beside the proof of IceBridge, whose reader of the source is another one, and no substitute.

The last line printed is ``ICEBRIDGE_RESULT`` and a JSON object; the exit code is 0 when all are the same, 1 when some
differ or could not be read, 2 when Spark or the job file failed (Databricks takes any ``sys.exit`` for a failure).

Needs pyspark and the standard library, nothing of IceBridge.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

SAME, DIFFERENT, FAILED, LOST = "same", "different", "failed", "lost"
OWN = "gx_runner"
LONGEST_PROBLEM = 1500
_REQUIRED = ("token", "table", "source", "target")


def main(arguments: list[str] | None = None, spark: Any = None) -> int:
    """Compare the tables of the job file and return the exit code."""
    parser = argparse.ArgumentParser(description="Compares sources and copies inside a Databricks cluster.")
    parser.add_argument("path", help="file that holds the jobs, a JSON list")
    parser.add_argument("--parallel", type=int, default=4, help="tables at once")
    asked = parser.parse_args(arguments)
    jobs: list[dict[str, Any]] = []
    try:
        jobs = read_jobs(Path(asked.path).read_text(encoding="utf-8"))
        session = spark or _session()
        with ThreadPoolExecutor(max(1, asked.parallel)) as pool:
            results = list(pool.map(lambda job: compare_one(session, job), jobs))
        results = judged(results)
    except Exception as error:  # noqa: BLE001 - whatever it is, the last line must say it
        results = [{"token": job["token"], "state": LOST, "problem": problem_of(error)} for job in jobs]
        return _tell({"tables": results, "problem": problem_of(error)}, 2)
    states = {result["state"] for result in results}
    return _tell({"tables": results}, 2 if LOST in states else int(states != {SAME}))


def read_jobs(text: str) -> list[dict[str, Any]]:
    """Return the jobs of a file.

    :raises ValueError: when they are no list of jobs, naming what is missing.
    """
    jobs = json.loads(text)
    if not isinstance(jobs, list) or not jobs or not all(isinstance(job, dict) for job in jobs):
        raise ValueError("the jobs are no JSON list of objects")
    for number, job in enumerate(jobs):
        missing = [key for key in _REQUIRED if not job.get(key)]
        if missing:
            raise ValueError(f"job {number} has no {', '.join(missing)}")
    return jobs


def compare_one(spark: Any, job: dict[str, Any]) -> dict[str, Any]:
    """Read both sides of one table; what goes wrong is in the result."""
    found = {"token": job["token"], "table": job["table"], "problem": ""}
    try:
        if job.get("refresh"):
            spark.sql(job["refresh"])
        sides = {side: _sums(spark.sql(job[side])) for side in ("source", "target")}
    except Exception as error:  # noqa: BLE001 - one table must not stop the others
        return {**found, "state": FAILED if _answers(spark) else LOST, "problem": problem_of(error)}
    rows = {f"{side}_rows": sum(sums[1] for sums in answer) for side, answer in sides.items()}
    state = SAME if sides["source"] == sides["target"] else DIFFERENT
    print(f"{job['table']}: {state}, {rows['source_rows']} and {rows['target_rows']} rows", flush=True)
    return {**found, "state": state, **rows, "sides": {side: json.dumps(answer) for side, answer in sides.items()}}


def _sums(answer: Any) -> list[list[int]]:
    """Return the sums of all buckets, the buckets in order."""
    return sorted([int(value or 0) for value in row] for row in answer.collect())


def judged(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the results with who judged them; what Great Expectations does not find equal is different."""
    read = [result for result in results if "sides" in result]
    judge, equal = _expectations(read)
    for result, same in zip(read, equal, strict=True):
        result["state"] = SAME if same and result["state"] == SAME else DIFFERENT
    return [{**{key: value for key, value in result.items() if key != "sides"}, "judge": judge} for result in results]


def _expectations(read: list[dict[str, Any]]) -> tuple[str, list[bool]]:
    """Let Great Expectations say of each table whether both sides are equal; without it this program says so."""
    own = [result["sides"]["source"] == result["sides"]["target"] for result in read]
    os.environ["GX_ANALYTICS_ENABLED"] = "False"  # GX reads it when it is imported
    try:
        import great_expectations as gx
        import pandas as pd
    except ImportError:
        return OWN, own
    if not read:
        return f"great_expectations {gx.__version__}", own
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    definition = (
        context.data_sources.add_pandas("icebridge")
        .add_dataframe_asset("sums")
        .add_batch_definition_whole_dataframe("both sides")
    )
    batch = definition.get_batch(batch_parameters={"dataframe": pd.DataFrame([result["sides"] for result in read])})
    expectation = gx.expectations.ExpectColumnPairValuesToBeEqual(column_A="source", column_B="target")
    answer = batch.validate(expectation, result_format="COMPLETE").to_json_dict()
    wrong = set(answer["result"].get("unexpected_index_list") or ())
    if bool(answer["success"]) is bool(wrong):
        raise ValueError("Great Expectations does not say which tables differ")
    return f"great_expectations {gx.__version__}", [number not in wrong for number in range(len(read))]


def _session() -> Any:
    from pyspark.sql import SparkSession

    return SparkSession.builder.getOrCreate()


def _answers(spark: Any) -> bool:
    try:
        return bool(spark.sql("SELECT 1").collect())
    except Exception:  # noqa: BLE001 - any failure of this statement is the answer
        return False


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
