"""Puts the Spark program and its jobs where a cluster can read them: a volume, or the principal's own folder."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import icebridge_provider
from icebridge_provider.crash import side_effect
from icebridge_provider.engines.databricks import faults
from icebridge_provider.engines.databricks.peer import DatabricksWorkspace
from icebridge_provider.exceptions import IceBridgeError

PROGRAM, CATCH_UP, COMPARE = "bulk_copy.py", "incremental_sync.py", "gx_runner.py"
T = TypeVar("T")
NO_SUCH_OBJECT = "IB-243"
JOBS, PROGRESS = "jobs-", "progress-"


@cache
def program(name: str = PROGRAM) -> bytes:
    """Return a Spark program, from the wheel or from a checkout.

    :raises ConfigurationError: IB-453 when it is in neither.
    """
    package = Path(icebridge_provider.__file__).parent
    for folder in (package / "_spark_apps", package.parent / "spark_apps"):
        if (folder / name).is_file():
            return (folder / name).read_bytes()
    raise faults.no_program(package / "_spark_apps" / name)


class RunFiles:
    """The files of the runs of one workspace; each is small, and named after its content or its run.

    :param volume: catalog, schema and volume; without them the principal's own folder in the workspace is used.
    """

    def __init__(self, workspace: DatabricksWorkspace, volume: tuple[str, ...] = ()) -> None:
        self._place: _VolumeFiles | _WorkspaceFiles = (
            _VolumeFiles(workspace, volume) if volume else _WorkspaceFiles(workspace)
        )
        self._programs: dict[str, str] = {}

    @staticmethod
    def program_name(name: str = PROGRAM) -> str:
        """Return the name of a program's file: of its content."""
        return f"{name.removesuffix('.py')}-{hashlib.sha256(program(name)).hexdigest()[:12]}.py"

    def program(self, name: str = PROGRAM) -> str:
        """Return a program's path; it is uploaded once per version, and again when somebody changed it."""
        if name not in self._programs:
            content = program(name)
            path = f"{self._place.folder()}/{self.program_name(name)}"
            if self._place.read(path) != content:
                with side_effect("copy.upload_program"):
                    self._place.write(path, content)
            self._programs[name] = path
        return self._programs[name]

    def jobs(self, name: str, content: bytes) -> str:
        """Write a job file and return its path."""
        path = f"{self._place.folder()}/{JOBS}{name}.json"
        with side_effect("copy.upload_jobs"):
            self._place.write(path, content)
        return path

    def read(self, path: str) -> bytes | None:
        """Return a file that another process put there, None when there is none."""
        return self._place.read(path)

    def listed(self) -> list[Listed]:
        """Return all files of the folder; none when there is no folder."""
        return self._place.listed()

    def delete(self, path: str) -> None:
        """Delete a file of the folder; a missing one is success."""
        self._place.delete(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A file of runs: its path, and when it was written last (seconds since 1970)."""

    path: str
    written: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TableProgress:
    """How far a run is with one table: ``copying``, ``done``, ``found``, ``failed`` or ``lost``."""

    staged: tuple[str, ...]
    state: str
    rows: int | None = None
    seconds: float | None = None


def progress_path(jobs_path: str) -> str:
    """Return where the program of a job file writes how far it is; empty for a path that is no job file's."""
    folder, _, name = jobs_path.rpartition("/")
    return f"{folder}/{PROGRESS}{name.removeprefix(JOBS)}" if name.startswith(JOBS) else ""


def read_progress(workspace: DatabricksWorkspace, jobs_path: str) -> list[TableProgress]:
    """Return how far a run is; nothing when its program wrote nothing, or is just writing.

    :param jobs_path: job file, the last parameter of the run's program.
    """
    path = progress_path(jobs_path)
    if not path:
        return []
    place = _VolumeFiles(workspace, ()) if path.startswith("/Volumes/") else _WorkspaceFiles(workspace)
    return progress_in(place.read(path) or b"")


def progress_in(content: bytes) -> list[TableProgress]:
    """Return what a progress file says; nothing for one that is none, or half of one."""
    try:
        return [
            TableProgress(
                staged=tuple(str(part) for part in item["staged"]),
                state=str(item["state"]),
                rows=item.get("rows"),
                seconds=item.get("seconds"),
            )
            for item in json.loads(content)["tables"]
        ]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []


class _VolumeFiles:
    """The Files API on a volume."""

    def __init__(self, workspace: DatabricksWorkspace, volume: tuple[str, ...]) -> None:
        self._workspace = workspace
        self._name = ".".join(volume)
        self._folder = "/".join(("/Volumes", *volume, "icebridge"))
        self._made = False

    def folder(self) -> str:
        if not self._made:
            client = self._workspace.client
            self._workspace.read(
                f"make the folder {self._folder}",
                lambda: client.files.create_directory(self._folder),
                f"READ VOLUME and WRITE VOLUME on {self._name}",
            )
            self._made = True
        return self._folder

    def listed(self) -> list[Listed]:
        client = self._workspace.client
        found = _or_none(
            lambda: self._workspace.read(
                f"list {self._folder}",
                lambda: list(client.files.list_directory_contents(self._folder)),
                f"READ VOLUME on {self._name}",
            )
        )
        files = [item for item in found or () if not item.is_directory]
        return [Listed(path=str(item.path), written=(item.last_modified or 0) / 1000) for item in files]

    def delete(self, path: str) -> None:
        client = self._workspace.client
        _or_none(
            lambda: self._workspace.read(
                f"delete {path}", lambda: client.files.delete(path), f"WRITE VOLUME on {self._name}"
            )
        )

    def read(self, path: str) -> bytes | None:
        client = self._workspace.client
        return _or_none(
            lambda: self._workspace.read(
                f"read {path}",
                lambda: bytes(client.files.download(path).contents.read()),
                f"READ VOLUME on {self._name}",
            )
        )

    def write(self, path: str, content: bytes) -> None:
        client = self._workspace.client
        self._workspace.read(
            f"write {path}",
            lambda: client.files.upload(path, io.BytesIO(content), overwrite=True),
            f"WRITE VOLUME on {self._name}",
        )


class _WorkspaceFiles:
    """Workspace files in the principal's home: nobody else may change what its cluster runs."""

    def __init__(self, workspace: DatabricksWorkspace) -> None:
        self._workspace = workspace
        self._folder = ""

    def folder(self) -> str:
        if not self._folder:
            folder = self._named()
            self._send(f"make the folder {folder}", "mkdirs", {"path": folder})
            self._folder = folder
        return f"/Workspace{self._folder}"

    def _named(self) -> str:
        me = self._workspace.get("ask who signs in", "/api/2.0/preview/scim/v2/Me")["userName"]
        return f"/Users/{me}/.icebridge"

    def listed(self) -> list[Listed]:
        folder = self._folder or self._named()
        found = self._workspace.find(f"list {folder}", "/api/2.0/workspace/list", {"path": folder}) or {}
        files = [item for item in found.get("objects") or () if item.get("object_type") != "DIRECTORY"]
        return [
            Listed(path=f"/Workspace{item['path']}", written=float(item.get("modified_at") or 0) / 1000)
            for item in files
        ]

    def delete(self, path: str) -> None:
        try:
            self._send(f"delete {path}", "delete", {"path": path.removeprefix("/Workspace")})
        except IceBridgeError as error:
            if error.code != NO_SUCH_OBJECT:
                raise

    def read(self, path: str) -> bytes | None:
        query = {"path": path.removeprefix("/Workspace"), "format": "SOURCE"}
        found = self._workspace.find(f"read {path}", "/api/2.0/workspace/export", query)
        return None if found is None else base64.b64decode(found.get("content", ""))

    def write(self, path: str, content: bytes) -> None:
        body = {
            "path": path.removeprefix("/Workspace"),
            "format": "AUTO",
            "overwrite": True,
            "content": base64.b64encode(content).decode(),
        }
        self._send(f"write {path}", "import", body)

    def _send(self, what: str, verb: str, body: dict[str, object]) -> None:
        self._workspace.read(
            what, lambda: self._workspace.send(what, "POST", f"/api/2.0/workspace/{verb}", body, "CAN MANAGE on it")
        )


def _or_none(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except IceBridgeError as error:
        if error.code == NO_SUCH_OBJECT:
            return None
        raise
