"""The engine against a workspace: one run for the same jobs, whatever is lost on the way; its end read right."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from databricks.sdk.service.catalog import PermissionsChange, Privilege, VolumeType
from databricks.sdk.service.workspace import ImportFormat

from icebridge_provider.engines.databricks import files
from icebridge_provider.engines.databricks.engine import DatabricksEngine
from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model.job import JobRef, JobSpec, JobState, JobStatus
from icebridge_provider.model.plan import CopyMethod
from tests.support.databricks import Workspace
from tests.support.run_tables import CLUSTER, Tables, engine_of, job_of

RUNS = "/api/2.2/jobs/runs"


@dataclass
class Bench:
    """A principal's engine on a workspace, and two catalogs."""

    server: Workspace
    options: dict[str, Any]
    principal: str = "copier@example.com"
    source: Tables = field(default_factory=lambda: Tables("lake", is_foreign=True))
    target: Tables = field(default_factory=lambda: Tables("main"))

    def engine(self, **options: Any) -> DatabricksEngine:
        bearer = self.server.token(self.principal)
        return engine_of(self.server.url, bearer, self.source, self.target, **{**self.options, **options})

    def job(self, name: str, plan: str = "p1", method: CopyMethod = CopyMethod.DEEP_CLONE) -> tuple[JobSpec, str]:
        return job_of(self.source, name, plan, method), f"{plan}-{name}-{time.monotonic_ns()}"

    def runs(self) -> list[dict[str, Any]]:
        return list(self.server.order("GET", "/runs"))

    def files_of(self, run_id: int | str) -> tuple[str, str]:
        """Paths of a run's program and job file."""
        [task] = self.server.sdk(self.principal).jobs.get_run(int(run_id)).tasks or []
        assert task.spark_python_task is not None
        return task.spark_python_task.python_file, (task.spark_python_task.parameters or [""])[-1]

    def read(self, path: str) -> bytes:
        client = self.server.sdk(self.principal)
        if path.startswith("/Volumes/"):
            found = client.files.download(path).contents
            assert found is not None
            return found.read()
        return client.workspace.download(path).read()

    def write(self, path: str, content: bytes) -> None:
        client = self.server.sdk(self.principal)
        if path.startswith("/Volumes/"):
            client.files.upload(path, io.BytesIO(content), overwrite=True)
        else:
            client.workspace.upload(path, content, format=ImportFormat.AUTO, overwrite=True)

    def writes(self) -> list[dict[str, Any]]:
        """Files written since the requests were forgotten."""
        asked = [*self.server.requests("/workspace/import"), *self.server.requests("/fs/files/")]
        return [request for request in asked if request["method"] in {"POST", "PUT"}]

    def wait(self, engine: DatabricksEngine, ref: JobRef) -> JobStatus:
        until = time.monotonic() + 30
        while (status := engine.poll(ref)).state is JobState.RUNNING:
            assert time.monotonic() < until, status
            time.sleep(0.1)
        return status


def volume(server: Workspace, principal: str) -> str:
    """A volume that the principal may write to."""
    admin = server.sdk()
    if "tools" not in {found.name for found in admin.catalogs.list()}:
        admin.catalogs.create("tools")
        admin.schemas.create("icebridge", "tools")
        admin.volumes.create("tools", "icebridge", "runs", VolumeType.MANAGED)
        for kind, name, rights in (
            ("CATALOG", "tools", ["USE_CATALOG"]),
            ("SCHEMA", "tools.icebridge", ["USE_SCHEMA"]),
            ("VOLUME", "tools.icebridge.runs", ["READ_VOLUME", "WRITE_VOLUME"]),
        ):
            change = PermissionsChange(principal=principal, add=[Privilege(right) for right in rights])
            admin.grants.update(kind, name, changes=[change])
    return "tools.icebridge.runs"


@pytest.fixture(params=["workspace", "volume"])
def placed(request: pytest.FixtureRequest, bench: Bench) -> Bench:
    """Program and jobs lie in the principal's folder, or in a volume."""
    bench.server.principal(bench.principal)
    if request.param == "volume":
        bench.options = {"volume": volume(bench.server, bench.principal)}
    return bench


@pytest.fixture
def bench(databricks_uc: Workspace) -> Iterator[Bench]:
    yield Bench(databricks_uc, {})
    databricks_uc.calm()
    databricks_uc.order("DELETE", "/runs/faults")
    databricks_uc.order("PATCH", "/runs", {"start_seconds": 0.1})
    for run in databricks_uc.order("GET", "/runs"):
        if run["active"]:
            databricks_uc.sdk(run["creator_user_name"]).jobs.cancel_run(run["run_id"])


def slow(bench: Bench) -> None:
    bench.server.order("PATCH", "/runs", {"start_seconds": 30})


def test_the_same_jobs_are_one_run_in_any_order_and_process(bench: Bench) -> None:
    slow(bench)
    jobs = [bench.job("a"), bench.job("b")]
    first = bench.engine().submit_all(jobs)
    assert bench.engine().submit_all(jobs[::-1]) == first
    assert bench.engine().find(first) == first
    assert bench.engine().poll(first).state is JobState.RUNNING
    [run] = [run for run in bench.runs() if str(run["run_id"]) == first.run_id]
    assert run["idempotency_token"] == first.token
    assert run["run_name"] == "icebridge p1: 2 tables"


def test_a_run_that_is_over_is_found_too(bench: Bench) -> None:
    jobs = [bench.job("a")]
    engine = bench.engine()
    first = engine.submit_all(jobs)
    bench.wait(engine, first)
    assert bench.engine().submit_all(jobs) == first


@pytest.mark.parametrize("fault", ["lost", 503, 429, "cut"])
def test_an_answer_that_is_lost_starts_no_second_run(bench: Bench, fault: int | str) -> None:
    slow(bench)
    before = len(bench.runs())
    bench.server.fail(fault, path=f"{RUNS}/submit")
    ref = bench.engine().submit_all([bench.job("a")])
    assert len(bench.runs()) == before + 1
    assert bench.engine().poll(ref).state is JobState.RUNNING


@pytest.mark.parametrize("point", ["copy.upload_jobs.after", "copy.submit_run.before", "copy.submit_run.after"])
def test_a_kill_around_the_submit_leaves_one_run(bench: Bench, point: str) -> None:
    slow(bench)
    before = len(bench.runs())
    names = [point.replace(".", "_"), "other"]
    command = [sys.executable, "-m", "tests.support.run_tables", bench.server.url, bench.server.token(bench.principal)]
    killed = {**os.environ, "ICEBRIDGE_CRASH": point}
    assert subprocess.run([*command, *names], env=killed, check=False).returncode == -signal.SIGKILL
    ended = subprocess.run([*command, *names], capture_output=True, text=True, check=True)
    assert len(bench.runs()) == before + 1
    assert ended.stdout.strip() in {str(run["run_id"]) for run in bench.runs() if run["active"]}


def test_the_cluster_is_photon_tagged_and_limited_in_time(bench: Bench) -> None:
    slow(bench)
    ref = bench.engine(timeout_seconds=99, parallel_tables=2).submit_all([bench.job("a")])
    run = bench.server.sdk(bench.principal).jobs.get_run(int(ref.run_id))
    [task] = run.tasks or []
    assert task.new_cluster is not None
    assert task.new_cluster.runtime_engine is not None
    assert task.new_cluster.runtime_engine.value == "PHOTON"
    tags = {"icebridge_plan": "p1", "icebridge_run": ref.token, "icebridge_wave": "0"}
    assert task.new_cluster.custom_tags == tags
    assert task.spark_python_task is not None
    assert (task.spark_python_task.parameters or [])[:2] == ["--parallel", "2"]


def test_part_of_what_an_active_run_does_is_that_run(bench: Bench) -> None:
    slow(bench)
    jobs = [bench.job("a"), bench.job("b")]
    ref = bench.engine().submit_all(jobs)
    assert bench.engine().submit(*jobs[0]) == JobRef(engine="databricks", token=jobs[0][1], run_id=ref.run_id)


def test_two_active_runs_never_share_a_table(bench: Bench) -> None:
    slow(bench)
    first, second, third = bench.job("a"), bench.job("b"), bench.job("c")
    engine = bench.engine()
    ref = engine.submit_all([first, second])
    with pytest.raises(IceBridgeError) as caught:
        bench.engine().submit_all([second, third])
    assert (caught.value.code, caught.value.retryable) == ("IB-452", True)
    engine.cancel(ref)
    bench.wait(engine, ref)
    assert bench.engine().submit_all([second, third]).run_id != ref.run_id


def test_the_program_is_uploaded_once_and_again_when_it_was_changed(placed: Bench) -> None:
    slow(placed)
    ref = placed.engine().submit_all([placed.job("a")])
    program, document = placed.files_of(ref.run_id)
    assert placed.read(program) == files.program()
    placed.server.forget_requests()
    placed.engine().submit_all([placed.job("b")])
    assert len(placed.writes()) == 1, "only the job file"
    placed.write(program, b"evil()")
    placed.engine().submit_all([placed.job("c")])
    assert placed.read(program) == files.program()
    assert placed.server.token(placed.principal) not in placed.read(document).decode()


def test_a_batch_costs_few_requests(bench: Bench) -> None:
    slow(bench)
    bench.engine().submit_all([bench.job("warm")])
    jobs = [bench.job(f"t{number}") for number in range(200)]
    bench.server.forget_requests()
    bench.engine().submit_all(jobs)
    assert len(bench.server.requests("/api/")) <= 8


def test_a_table_with_its_jobs_name_is_copied_whatever_the_run_says(bench: Bench) -> None:
    spec, token = bench.job("a")
    engine = bench.engine()
    ref = engine.submit(spec, token)
    assert bench.wait(engine, ref).state is JobState.FAILED  # no Spark here
    bench.target.put(spec.staged, {"icebridge.token": token})
    status = engine.result_of(spec, ref)
    assert status.state is JobState.SUCCEEDED
    assert status.result is not None
    told = status.result
    assert (told.metadata_location, told.snapshot_id, told.target_snapshot_id) == ("m9", 3, 3)
    assert (told.rows, told.files_copied, told.bytes_copied) == (7, 2, 99)


def test_a_table_of_another_try_is_not_taken_for_ours(bench: Bench) -> None:
    spec, token = bench.job("a")
    bench.target.put(spec.staged, {"icebridge.token": "another"})
    engine = bench.engine()
    ref = engine.submit(spec, token)
    bench.wait(engine, ref)
    assert engine.result_of(spec, ref).state is JobState.FAILED


def test_a_program_without_spark_may_be_tried_again(placed: Bench) -> None:
    spec, token = placed.job("a")
    engine = placed.engine()
    ref = engine.submit(spec, token)
    placed.wait(engine, ref)
    status = engine.result_of(spec, ref)
    assert (status.state, status.facts["retryable"]) == (JobState.FAILED, True), status


@pytest.mark.parametrize(
    ("kind", "retryable"),
    [
        ("CLUSTER_ERROR", True),
        ("CLUSTER_REQUEST_LIMIT_EXCEEDED", True),
        ("CLOUD_FAILURE", True),
        ("DRIVER_ERROR", True),
        ("INTERNAL_ERROR", True),
        ("INVALID_CLUSTER_REQUEST", False),
        ("UNAUTHORIZED_ERROR", False),
    ],
)
def test_infrastructure_may_be_tried_again_and_a_persons_mistake_not(bench: Bench, kind: str, retryable: bool) -> None:
    bench.server.order("POST", "/runs/faults", [{"kind": kind}])
    spec, token = bench.job("a")
    engine = bench.engine()
    ref = engine.submit(spec, token)
    assert bench.wait(engine, ref).facts["retryable"] is retryable
    status = engine.result_of(spec, ref)
    assert (status.state, status.facts["retryable"]) == (JobState.FAILED, retryable)
    assert ref.run_id in status.problem


def test_many_tables_of_a_run_that_is_over_ask_for_it_once(bench: Bench) -> None:
    jobs = [bench.job(f"t{number}") for number in range(20)]
    engine = bench.engine()
    run = engine.submit_all(jobs)
    bench.wait(engine, run)
    bench.server.forget_requests()
    fresh = bench.engine()
    for spec, token in jobs:
        ref = JobRef(engine="databricks", token=token, run_id=run.run_id)
        fresh.poll(ref)
        assert fresh.result_of(spec, ref).state is JobState.FAILED
    assert len(bench.server.requests(RUNS)) == 2


def test_cancelling_twice_is_success(bench: Bench) -> None:
    slow(bench)
    spec, token = bench.job("a")
    engine = bench.engine()
    ref = engine.submit(spec, token)
    engine.cancel(ref)
    status = bench.wait(engine, ref)
    assert (status.state, status.facts["retryable"]) == (JobState.FAILED, False)
    engine.cancel(ref)
    engine.cancel(JobRef(engine="databricks", token="", run_id="123456789"))
    assert "stopped" in engine.result_of(spec, ref).problem


def test_a_run_that_nobody_knows_may_be_tried_again(bench: Bench) -> None:
    spec, token = bench.job("a")
    ref = JobRef(engine="databricks", token=token, run_id="123456789")
    engine = bench.engine()
    assert engine.find(ref) is None
    assert engine.poll(ref).facts["retryable"] is True
    assert engine.result_of(spec, ref).facts["retryable"] is True


@pytest.mark.parametrize("method", [CopyMethod.COPY_FILES, CopyMethod.REGISTER])
def test_other_methods_are_refused_by_name(bench: Bench, method: CopyMethod) -> None:
    before = len(bench.runs())
    with pytest.raises(IceBridgeError, match=method.value) as caught:
        bench.engine().submit(*bench.job("a", method=method))
    assert caught.value.code == "IB-450"
    assert len(bench.runs()) == before


def test_a_source_that_is_gone_starts_nothing(bench: Bench) -> None:
    spec, token = bench.job("a")
    bench.source.known.clear()
    with pytest.raises(IceBridgeError) as caught:
        bench.engine().submit(spec, token)
    assert caught.value.code == "IB-451"


def test_a_spec_that_the_workspace_refuses_is_a_persons_to_mend(bench: Bench) -> None:
    with pytest.raises(IceBridgeError, match="Photon") as caught:
        bench.engine(cluster={**CLUSTER, "node_type_id": "m5.large"}).submit(*bench.job("a"))
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cluster": None}, "cluster"),
        ({"cluster": "big"}, "cluster"),
        ({"volumes": "a.b.c"}, "volume"),
        ({"volume": "a.b"}, "catalog.schema.volume"),
        ({"volume": "a.b.`../c`"}, "catalog.schema.volume"),
        ({"timeout_seconds": 0}, "from 1"),
        ({"parallel_tables": "4"}, "from 1"),
    ],
)
def test_options_that_cannot_be_used_are_refused(bench: Bench, options: dict[str, Any], said: str) -> None:
    with pytest.raises(IceBridgeError, match="IB-445") as caught:
        bench.engine(**options)
    assert said in str(caught.value)
