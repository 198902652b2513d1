"""The shipped DAGs and what Airflow learns of the provider."""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from icebridge_provider.cli.runs import DAGS
from icebridge_provider.get_provider_info import get_provider_info
from icebridge_provider.model.settings import Settings

pytestmark = pytest.mark.airflow
ROOT = Path(__file__).parents[2]
HEAVY = ("pyarrow", "pyiceberg", "great_expectations", "numba", "pandas", "duckdb")
SECONDS_TO_PARSE = 1.5


@pytest.fixture(scope="module")
def dags(airflow_cli_home: Path) -> dict[str, Any]:
    from airflow.dag_processing.dagbag import DagBag

    from icebridge_provider.bundle import IceBridgeDagBundle

    bundle = IceBridgeDagBundle(name="icebridge")
    bag = DagBag(str(bundle.path), bundle_path=bundle.path, bundle_name="icebridge")
    assert bag.import_errors == {}
    return dict(bag.dags)


def test_the_bundle_holds_exactly_the_shipped_dags(dags: dict[str, Any]) -> None:
    assert set(dags) == set(DAGS)


def test_every_dag_says_what_it_is(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        assert dag.description, dag.dag_id
        assert dag.doc_md, dag.dag_id
        assert "icebridge" in dag.tags
        assert dag.owner == "icebridge", dag.dag_id
        assert not dag.catchup
        assert not dag.dag_id.startswith("_")


def test_every_param_can_be_filled_in_by_a_stranger(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        assert dag.params, dag.dag_id
        for name in dag.params:
            param = dag.params.get_param(name)
            schema = param.schema
            assert schema["type"], f"{dag.dag_id}.{name}"
            assert schema["title"], f"{dag.dag_id}.{name}"
            assert len(param.description) > 10, f"{dag.dag_id}.{name}"


def test_the_migration_form_has_every_field_of_a_request(dags: dict[str, Any]) -> None:
    asked = {
        "source_conn_id", "target_conn_id", "tables", "method", "mapping", "accept_losses", "approval",
        "allow_zero_copy", "max_cost", "deadline", "cutover_window", "plan_id", "cluster",
    }  # fmt: skip
    form = dags["icebridge_migrate"].params
    assert asked <= set(form)
    assert {form.get_param(name).schema["section"] for name in form} >= {"What to move", "How", "Limits"}
    form.validate()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source_conn_id", "a b"), ("method", "teleport"), ("approval", "maybe"), ("tables", "sales.*"),
        ("max_cost", -1), ("cutover_window", "at night"), ("plan_id", "../x"), ("wave_tables", 5000),
        ("cluster", "big"),
    ],
)  # fmt: skip
def test_the_form_refuses_what_cannot_be_meant(dags: dict[str, Any], name: str, value: Any) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    form = copy.deepcopy(dags["icebridge_migrate"].params)
    with pytest.raises(ParamValidationError, match=str(value)[:4]):
        form[name] = value
        form.validate()


def test_all_tasks_share_the_retry_policy_and_are_ours_or_airflows(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        for task in dag.tasks:
            retries = task.partial_kwargs.get("retries") if task.is_mapped else task.retries
            policy = task.partial_kwargs.get("retry_policy") if task.is_mapped else task.retry_policy
            triggers_a_run = task.task_type == "TriggerWaveOperator"  # its retry would be a second run
            assert retries == (0 if triggers_a_run else Settings().task_retries), task.task_id
            assert policy is not None, task.task_id


def test_the_wave_groups_of_both_dags_are_the_same(dags: dict[str, Any]) -> None:
    def edges(dag_id: str) -> set[tuple[str, str]]:
        tasks = [task for task in dags[dag_id].tasks if task.task_id.startswith("wave.")]
        return {(task.task_id, down) for task in tasks for down in task.downstream_task_ids}

    assert edges("icebridge_migrate") == edges("icebridge_migrate_wave")
    assert ("wave.copy", "wave.validate") in edges("icebridge_migrate")
    assert ("wave.cut_over", "wave.verdict") in edges("icebridge_migrate")


# Operators


def operators() -> list[type]:
    from airflow.sdk import BaseOperator

    found: list[type] = []
    for package in ("operators", "sensors"):
        folder = importlib.import_module(f"icebridge_provider.{package}").__path__
        for item in pkgutil.iter_modules(folder, f"icebridge_provider.{package}."):
            classes = inspect.getmembers(importlib.import_module(item.name), inspect.isclass)
            own = (kind for _, kind in classes if issubclass(kind, BaseOperator) and kind.__module__ == item.name)
            found += (kind for kind in own if not inspect.isabstract(kind) and kind.__name__ != "IceBridgeOperator")
    return found


def test_every_public_operator_is_there(airflow_cli_home: Path) -> None:
    wanted = {
        "InventoryOperator", "AssessOperator", "PlanOperator", "CopyTablesOperator", "ValidateTablesOperator",
        "SyncTablesOperator", "CutOverOperator", "RollbackOperator", "PurgeOperator", "SnapshotSensor",
        "CertifyOperator",
    }  # fmt: skip
    assert wanted <= {kind.__name__ for kind in operators()}


def test_arguments_are_documented_and_templated(airflow_cli_home: Path) -> None:
    for kind in operators():
        own = [name for name in inspect.signature(kind.__init__).parameters if name not in {"self", "kwargs"}]
        documented = "".join(base.__doc__ or "" for base in kind.__mro__ if base.__module__.startswith("icebridge"))
        for name in own:
            assert f":param {name}:" in documented, f"{kind.__name__}.{name}"
            if name.endswith("conn_id") or name in {"plan_id", "tables", "certificate", "approval", "wave"}:
                assert name in kind.template_fields, f"{kind.__name__}.{name}"


def test_every_template_field_is_an_attribute(airflow_cli_home: Path) -> None:
    for kind in operators():
        required = {
            name: "x"
            for base in kind.__mro__
            if base.__module__.startswith("icebridge")
            for name, parameter in inspect.signature(base.__init__).parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.default is inspect.Parameter.empty
        }
        made = kind(task_id="t", **required)
        for name in kind.template_fields:
            assert hasattr(made, name), f"{kind.__name__}.{name}"


# Provider info


def test_provider_info_fits_airflows_schema(airflow_cli_home: Path) -> None:
    import airflow

    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    problems = jsonschema.Draft7Validator(schema).iter_errors(get_provider_info())
    assert [problem.message for problem in problems] == []


def test_everything_it_lists_can_be_imported(airflow_cli_home: Path) -> None:
    info = get_provider_info()
    modules = {
        name
        for kind in ("operators", "sensors", "hooks", "triggers", "bundles")
        for entry in info[kind]
        for name in entry["python-modules"]
    }
    classes = [entry["hook-class-name"] for entry in info["connection-types"]]
    classes += [*info["cli"], *(entry["plugin-class"] for entry in info["plugins"])]
    for name in classes:
        module, _, attribute = name.rpartition(".")
        assert callable(getattr(importlib.import_module(module), attribute)), name
    shipped = {kind.__module__ for kind in operators()} | {"icebridge_provider.bundle"}
    assert {name for name in modules if importlib.import_module(name)} >= shipped


def test_connection_types_are_those_of_the_hooks(airflow_cli_home: Path) -> None:
    for entry in get_provider_info()["connection-types"]:
        module, _, name = entry["hook-class-name"].rpartition(".")
        hook = getattr(importlib.import_module(module), name)
        assert hook.conn_type == entry["connection-type"]
        assert hook.hook_name == entry["hook-name"]


def test_airflow_knows_the_provider(airflow_cli_home: Path) -> None:
    from airflow.providers_manager import ProvidersManager
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

    manager = ProvidersManager()
    assert {"icebridge_catalog", "icebridge_ledger"} <= set(dict(ProvidersManagerTaskRuntime().hooks))
    assert "airflow-provider-icebridge" in manager.providers


def test_the_config_section_is_the_settings(airflow_cli_home: Path) -> None:
    from airflow.configuration import conf

    options = get_provider_info()["config"]["icebridge"]["options"]
    assert list(options) == [item.name for item in fields(Settings)]
    assert Settings.read({name: option["default"] for name, option in options.items()}) == Settings()
    assert conf.getint("icebridge", "max_parallel_writers") == Settings().max_parallel_writers


# What parsing costs

_PARSE = """
import importlib.util, json, sys, time
import airflow, airflow.sdk
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Param, TaskGroup, BaseOperator, ExceptionRetryPolicy, task
there = set(sys.modules)
spent = {}
for path in sys.argv[1:]:
    start = time.process_time()
    spec = importlib.util.spec_from_file_location("dag_" + str(len(spent)), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    spent[path] = time.process_time() - start
print(json.dumps({"spent": spent, "new": sorted(set(sys.modules) - there)}))
"""


def test_parsing_is_quick_and_pulls_in_no_heavy_module(airflow_cli_home: Path) -> None:
    files = sorted(str(path) for path in (ROOT / "dags").glob("*.py"))
    assert len(files) == len(DAGS)
    said = subprocess.run([sys.executable, "-c", _PARSE, *files], capture_output=True, text=True, check=True, cwd=ROOT)
    answer = json.loads(said.stdout.strip().splitlines()[-1])
    assert max(answer["spent"].values()) < SECONDS_TO_PARSE, answer["spent"]
    assert {name.partition(".")[0] for name in answer["new"]} & set(HEAVY) == set()
    assert "icebridge_provider.steps" not in answer["new"]
