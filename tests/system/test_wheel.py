"""The wheel as a stranger installs it: built by way of the sdist, unpacked elsewhere, used without the checkout."""

from __future__ import annotations

import configparser
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "icebridge_provider"

PROBE = """
import importlib.metadata, json, os, sys
from pathlib import Path
import icebridge_provider
from icebridge_provider.bundle import IceBridgeDagBundle, dags_path
from icebridge_provider.engines.gx_site import __file__ as pages
from icebridge_provider.state.ledger import SqlLedger

ledger = SqlLedger(f"sqlite:///{os.environ['AIRFLOW_HOME']}/ledger.db")
ledger.migrate()
ledger.check_migrated()
from airflow.dag_processing.dagbag import DagBag

path = IceBridgeDagBundle(name="icebridge").path
bag = DagBag(str(path / "icebridge_migrate.py"), bundle_path=path, bundle_name="icebridge")
found = importlib.metadata.distribution("airflow-provider-icebridge")
print(json.dumps({
    "package": icebridge_provider.__file__,
    "pages": pages,
    "dags": str(dags_path()),
    "files": sorted(item.name for item in dags_path().glob("*.py")),
    "loaded": {dag_id: len(dag.tasks) for dag_id, dag in bag.dags.items()},
    "errors": bag.import_errors,
    "entry_points": {point.group: [point.value, callable(point.load())] for point in found.entry_points},
}))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with sdist and wheel; the wheel is built from the sdist, as an index would offer it."""
    out = tmp_path_factory.mktemp("dist")
    _run(_uv(), "build", "--quiet", "--out-dir", out, ROOT)
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    _run(_uv(), "pip", "install", "--quiet", "--no-deps", "--python", sys.executable, "--target", target, wheel)
    return target


def _uv() -> str:
    found = shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".tools" / "bin"))
    assert found, "README's command puts uv into .tools"
    return found


def _run(*command: object, environment: dict[str, str] | None = None, cwd: Path = ROOT) -> str:
    ran = subprocess.run(
        [str(part) for part in command], env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def _away(installed: Path, folder: Path) -> dict[str, str]:
    """Return an environment in which only the wheel's folder knows the package."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    home = {"AIRFLOW_HOME": str(folder), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "PYTHONWARNINGS": "ignore"}
    return {**kept, **home, "PYTHONPATH": str(installed)}


def _tree(folder: Path, prefix: str = "") -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {f"{prefix}{path.relative_to(folder)}": path.read_bytes() for path in files}


def test_it_holds_the_package_the_dags_and_the_spark_apps_byte_by_byte_and_nothing_else(wheel: Path) -> None:
    wanted = {
        **_tree(PACKAGE, "icebridge_provider/"),
        **_tree(ROOT / "dags", "icebridge_provider/_dags/"),
        **_tree(ROOT / "spark_apps", "icebridge_provider/_spark_apps/"),
    }
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    assert sorted(held) == sorted(wanted)
    assert [name for name in wanted if held[name] != wanted[name]] == []
    assert {Path(name).suffix for name in held} >= {".py", ".j2", ".css", ".js", ".txt", ".typed"}
    assert "icebridge_provider/state/migrations/versions/0001_ledger.py" in held
    assert "icebridge_provider/_dags/icebridge_migrate.py" in held


def test_its_entry_points_and_metadata_are_what_airflow_and_pip_look_for(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (folder,) = {name.partition("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        points = configparser.ConfigParser()
        points.optionxform = str  # type: ignore[assignment,method-assign]
        points.read_string(archive.read(f"{folder}/entry_points.txt").decode())
        metadata = archive.read(f"{folder}/METADATA").decode()
        assert f"{folder}/licenses/LICENSE" in archive.namelist()
    assert {group: list(points[group]) for group in points.sections()} == {
        "console_scripts": ["icebridge"],
        "apache_airflow_provider": ["provider_info"],
        "airflow.plugins": ["icebridge"],
    }
    assert "Classifier: Typing :: Typed\n" in metadata
    assert "Requires-Python: <3.14,>=3.11\n" in metadata
    assert "# IceBridge" in metadata


def test_the_sdist_has_what_its_own_tests_need_and_no_private_folder(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        tops = {name.split("/")[1] for name in archive.getnames() if "/" in name}
        names = archive.getnames()
    assert {"icebridge_provider", "dags", "spark_apps", "tests", "tox.ini", "requirements.lock", "README.md"} <= tops
    assert {top for top in tops if top.startswith(".")} <= {".gitignore"}
    assert not any("__pycache__" in name for name in names)


def test_installed_elsewhere_it_brings_its_dags_ledger_and_entry_points(installed: Path, tmp_path: Path) -> None:
    said = _run(sys.executable, "-c", PROBE, environment=_away(installed, tmp_path), cwd=tmp_path)
    answer = json.loads(said.strip().splitlines()[-1])
    own = installed / "icebridge_provider"
    assert answer["package"] == str(own / "__init__.py")
    assert answer["pages"].startswith(str(own))
    assert answer["dags"] == str(own / "_dags")
    assert answer["files"] == sorted(path.name for path in (ROOT / "dags").glob("*.py"))
    assert answer["errors"] == {}
    assert answer["loaded"]["icebridge_migrate"] > 10
    assert {group: works for group, (_, works) in answer["entry_points"].items()} == {
        "console_scripts": True, "apache_airflow_provider": True, "airflow.plugins": True,
    }  # fmt: skip


def test_its_console_script_runs(installed: Path, tmp_path: Path) -> None:
    said = _run(installed / "bin" / "icebridge", "--version", environment=_away(installed, tmp_path), cwd=tmp_path)
    assert said.split()[-1].count(".") == 2
