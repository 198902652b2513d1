"""The DAGs that this package ships, as a DAG bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.local import LocalDagBundle


class IceBridgeDagBundle(LocalDagBundle):
    """Takes DAGs from the installed wheel, or from ``dags/`` of a checkout.

    Add it to ``[dag_processor] dag_bundle_config_list``; ``airflow icebridge init`` prints the line.
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("path", str(dags_path()))
        super().__init__(**kwargs)


def dags_path() -> Path:
    """Return the folder of the shipped DAGs."""
    package = Path(__file__).parent
    shipped = package / "_dags"
    return shipped if shipped.is_dir() else package.parent / "dags"
