"""Files of runs in a volume and in the principal's folder: old ones go, what an active run needs stays."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from icebridge_provider.engines.databricks.files import RunFiles, progress_in, progress_path
from icebridge_provider.engines.databricks.housekeeping import Housekeeping
from tests.contract.databricks.test_engine import Bench, bench, placed, slow  # noqa: F401 - fixtures
from tests.support.run_tables import CLUSTER


def housekeeping(found: Bench) -> Housekeeping:
    return found.engine().housekeeping


def later() -> float:
    return time.time() + 60


def names(found: Bench) -> set[str]:
    return {file.path.rpartition("/")[2] for file in housekeeping(found).unused(later())}


def test_nothing_is_there_before_the_first_run(placed: Bench) -> None:  # noqa: F811
    files = RunFiles(placed.engine()._workspace, ("tools", "icebridge", "nowhere"))
    assert files.listed() == []


def test_what_an_active_run_names_stays(placed: Bench) -> None:  # noqa: F811
    slow(placed)
    ref = placed.engine().submit_all([placed.job("a"), placed.job("b")])
    program, document = placed.files_of(ref.run_id)
    placed.write(progress_path(document), b"{}")
    old, strange = document.replace("jobs-", "jobs-old"), document.replace("jobs-", "notes-")
    stale = program.replace("bulk_copy-", "bulk_copy-old")
    for path in (old, strange, stale):
        placed.write(path, b"[]")
    found = {file.path for file in housekeeping(placed).unused(later())}
    assert found >= {old, stale}
    assert found.isdisjoint({program, document, progress_path(document), strange})
    assert ("flights", "a__icebridge_p1") in housekeeping(placed).written_now()


def test_the_older_program_of_an_active_run_stays(placed: Bench) -> None:  # noqa: F811
    slow(placed)
    ref = placed.engine().submit_all([placed.job("d")])
    program, document = placed.files_of(ref.run_id)
    older = program.replace("bulk_copy-", "bulk_copy-0")
    placed.write(older, b"print(1)")
    task = {
        "task_key": "t",
        "spark_python_task": {"python_file": older, "parameters": [document]},
        "new_cluster": {**CLUSTER, "data_security_mode": "SINGLE_USER"},
    }
    placed.server.sdk(placed.principal).api_client.do("POST", "/api/2.2/jobs/runs/submit", body={"tasks": [task]})
    assert older not in {file.path for file in housekeeping(placed).unused(later())}


def test_what_a_run_that_is_over_needed_goes_except_the_program(placed: Bench) -> None:  # noqa: F811
    engine = placed.engine()
    ref = engine.submit_all([placed.job("c")])
    placed.wait(engine, ref)
    program, document = placed.files_of(ref.run_id)
    kept = {file.path for file in housekeeping(placed).unused(later())}
    assert document in kept
    assert program not in kept, "the next run starts it again"
    assert [file for file in housekeeping(placed).unused(time.time() - 3600) if file.path == document] == []
    housekeeping(placed).delete(document)
    housekeeping(placed).delete(document)
    assert document not in {file.path for file in housekeeping(placed).unused(later())}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"tables": [{"state": "done"}]}', b'{"tables": 3}', b"\xff"])
def test_half_a_progress_file_tells_nothing(content: bytes) -> None:
    assert progress_in(content) == []


def test_progress_is_read_as_the_program_writes_it() -> None:
    item: dict[str, Any] = {"token": "t", "staged": ["main", "s", "t"], "state": "done", "rows": 3, "seconds": 1.5}
    [found] = progress_in(json.dumps({"at": 1.0, "tables": [item]}).encode())
    assert (found.staged, found.state, found.rows, found.seconds) == (("main", "s", "t"), "done", 3, 1.5)


@pytest.mark.parametrize(
    ("jobs", "progress"),
    [
        ("/Volumes/a/b/c/icebridge/jobs-1.json", "/Volumes/a/b/c/icebridge/progress-1.json"),
        ("/Workspace/Users/x/.icebridge/jobs-2.json", "/Workspace/Users/x/.icebridge/progress-2.json"),
        ("/Workspace/jobs-/other.json", ""),
        ("", ""),
    ],
)
def test_progress_lies_beside_the_job_file(jobs: str, progress: str) -> None:
    assert progress_path(jobs) == progress
