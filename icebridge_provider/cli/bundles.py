"""The DAG bundle that ships our DAGs, and Airflow's setting that must name it."""

from __future__ import annotations

import json
from typing import Any

from icebridge_provider.model.consumer import Bundle

CLASSPATH = "icebridge_provider.bundle.IceBridgeDagBundle"
DAGS_FOLDER = {
    "name": "dags-folder",
    "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
    "kwargs": {},
}
OURS = {"name": "icebridge", "classpath": CLASSPATH, "kwargs": {}}


def configured() -> list[dict[str, Any]]:
    """Return the bundles that Airflow is configured with."""
    from airflow.configuration import conf

    found = conf.getjson("dag_processor", "dag_bundle_config_list", fallback=[])
    return list(found) if isinstance(found, list) else []


def name() -> str | None:
    """Return the name under which Airflow is configured with our bundle, None when it is not."""
    return next((str(entry["name"]) for entry in configured() if entry.get("classpath") == CLASSPATH), None)


def is_configured() -> bool:
    """Whether Airflow is configured with our bundle."""
    return name() is not None


def wanted() -> list[dict[str, Any]]:
    """Return the whole setting: what is configured now and ours, since the setting replaces the default."""
    found = configured() or [DAGS_FOLDER]
    return found if is_configured() else [*found, OURS]


def line() -> str:
    """Return the setting as an environment variable to paste."""
    return f"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST='{json.dumps(wanted())}'"


def folders() -> list[Bundle]:
    """Return the folders of all DAG bundles but ours, opened where that is needed, for reading only."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    ours = {entry["name"] for entry in configured() if entry.get("classpath") == CLASSPATH}
    found = DagBundlesManager().get_all_dag_bundles()  # type: ignore[no-untyped-call]
    return [_opened(bundle) for bundle in found if bundle.name not in ours]


def _opened(bundle: Any) -> Bundle:
    try:
        if not bundle.is_initialized:
            bundle.initialize()
        return Bundle(name=bundle.name, folder=bundle.path)
    except Exception as error:  # noqa: BLE001 - a bundle is anybody's code; its refusal is told, by its kind alone
        return Bundle(name=bundle.name, folder=None, problem=f"it cannot be opened here ({type(error).__name__})")


def bring_in(bundle_name: str) -> list[str]:
    """Parse our bundle and store its DAGs, as ``airflow dags reserialize`` does; return the files that failed."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    from airflow.utils.session import create_session

    manager = DagBundlesManager()  # type: ignore[no-untyped-call]
    with create_session() as session:
        manager.sync_bundles_to_db(session=session)
    bundle = manager.get_bundle(bundle_name)
    bundle.initialize()
    bag = BundleDagBag(str(bundle.path), bundle_path=bundle.path, bundle_name=bundle_name)
    with create_session() as session:
        sync_bag_to_db(bag, bundle_name, bundle_version=None, session=session)
    return sorted(bag.import_errors)


def unpause(dag_ids: tuple[str, ...]) -> list[str]:
    """Unpause DAGs and return those that were paused."""
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(select(DagModel).where(DagModel.dag_id.in_(dag_ids), DagModel.is_paused)).all()
        for dag in found:
            dag.is_paused = False
        return sorted(dag.dag_id for dag in found)
