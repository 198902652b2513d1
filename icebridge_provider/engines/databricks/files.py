"""Puts the Spark program and its jobs where a cluster can read them: a volume, or the principal's own folder."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

import icebridge_provider
from icebridge_provider.crash import side_effect
from icebridge_provider.engines.databricks import faults
from icebridge_provider.engines.databricks.peer import DatabricksWorkspace
from icebridge_provider.exceptions import IceBridgeError

PROGRAM = "bulk_copy.py"
NO_SUCH_OBJECT = "IB-243"


@cache
def program() -> bytes:
    """Return the Spark program, from the wheel or from a checkout.

    :raises ConfigurationError: IB-453 when it is in neither.
    """
    package = Path(icebridge_provider.__file__).parent
    for folder in (package / "_spark_apps", package.parent / "spark_apps"):
        if (folder / PROGRAM).is_file():
            return (folder / PROGRAM).read_bytes()
    raise faults.no_program(package / "_spark_apps" / PROGRAM)


class RunFiles:
    """The files of the runs of one workspace; each is small, and named after its content or its run.

    :param volume: catalog, schema and volume; without them the principal's own folder in the workspace is used.
    """

    def __init__(self, workspace: DatabricksWorkspace, volume: tuple[str, ...] = ()) -> None:
        self._place: _VolumeFiles | _WorkspaceFiles = (
            _VolumeFiles(workspace, volume) if volume else _WorkspaceFiles(workspace)
        )
        self._program = ""

    def program(self) -> str:
        """Return the program's path; it is uploaded once per version, and again when somebody changed it."""
        if not self._program:
            content = program()
            path = f"{self._place.folder()}/bulk_copy-{hashlib.sha256(content).hexdigest()[:12]}.py"
            if self._place.read(path) != content:
                with side_effect("copy.upload_program"):
                    self._place.write(path, content)
            self._program = path
        return self._program

    def jobs(self, name: str, content: bytes) -> str:
        """Write a job file and return its path."""
        path = f"{self._place.folder()}/jobs-{name}.json"
        with side_effect("copy.upload_jobs"):
            self._place.write(path, content)
        return path

    def read(self, path: str) -> bytes | None:
        """Return a file that another process put there, None when there is none."""
        return self._place.read(path)


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
            me = self._workspace.get("ask who signs in", "/api/2.0/preview/scim/v2/Me")["userName"]
            folder = f"/Users/{me}/.icebridge"
            self._send(f"make the folder {folder}", "mkdirs", {"path": folder})
            self._folder = folder
        return f"/Workspace{self._folder}"

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


def _or_none(read: Callable[[], bytes]) -> bytes | None:
    try:
        return read()
    except IceBridgeError as error:
        if error.code == NO_SUCH_OBJECT:
            return None
        raise
