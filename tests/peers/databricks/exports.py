"""Folders of cloud storage that statements write and read: on an S3 server, or in a volume.

The engine writes into a folder of this machine; from there the files go to their place as Databricks' directory
commit leaves them: ``_started_<id>``, the parts, ``_committed_<id>``, ``_SUCCESS``. What was there before goes first.
"""

from __future__ import annotations

import functools
import json
import os
import secrets
import shutil
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends

from tests.peers.databricks import auth
from tests.peers.databricks.auth import BODY
from tests.peers.databricks.errors import ApiError
from tests.peers.databricks.export_targets import Broken, FolderTarget, S3Target, Target
from tests.peers.databricks.files import Volumes
from tests.peers.databricks.path_access import PathRules, require_path
from tests.peers.databricks.s3_client import S3
from tests.peers.databricks.shapes import BOOLEAN, INTEGER, NUMBER, TEXT, Each, Fields, check
from tests.peers.databricks.sql_errors import SqlError, from_api, unsupported

if TYPE_CHECKING:
    from tests.peers.databricks.world import World

S3_FIELDS = Fields(
    {"endpoint": TEXT, "access_key": TEXT, "secret_key": TEXT, "region": TEXT}, ("endpoint", "access_key", "secret_key")
)
ORDERS = Fields({"s3": S3_FIELDS, "files": INTEGER, "instance_profile": BOOLEAN, "any_file": Each(TEXT)})
FAULT = Fields(
    {
        "kind": frozenset({"slow", "fail", "half"}), "seconds": NUMBER, "files": INTEGER, "times": INTEGER,
        "error_class": TEXT, "error_code": TEXT, "message": TEXT, "path": TEXT,
    },
    ("kind",),
)  # fmt: skip


@dataclass(kw_only=True)
class ExportFault:
    """``fail`` before anything is written, ``half`` after ``files`` parts (no ``_SUCCESS`` then), ``slow`` before both.

    ``slow`` and ``half`` first last for ``seconds``, in which the statement can be cancelled: what is written stays.
    ``half`` without a message goes on after that and ends well.
    """

    kind: str
    seconds: float = 0.0
    files: int = 1
    times: int = 1
    error_class: str = ""
    error_code: str = ""
    message: str = ""
    path: str = ""

    def error(self) -> Exception:
        """What the statement ends with."""
        text = self.message or "ordered by a test"
        return SqlError(self.error_class, "XX000", text) if self.error_class else Broken(self.error_code, text)


@dataclass
class Exports:
    """Where files go and come from, and what a test ordered about it."""

    world: World
    s3: S3 | None = None
    files: int = 1
    rules: PathRules = field(default_factory=PathRules)
    faults: list[ExportFault] = field(default_factory=list)

    # Writing

    def checked(self, path: str, who: str, *, write: bool) -> str:
        """The path without a slash at its end, if the principal may use it so; else SqlError."""
        place = path.rstrip("/")
        if place.startswith("/Volumes/"):
            self._volume(place, who, write=write)
        elif place.startswith("s3://") and "/" in place.removeprefix("s3://"):
            require_path(self.world, self.rules, who, place, write=write)
        else:
            raise unsupported(f"Path is not served by this workspace: {path}")
        return place

    def scratch(self) -> Path:
        """A new folder of this machine."""
        folder = self.world.folder / "exports" / uuid.uuid4().hex
        folder.mkdir(parents=True)
        return folder

    def replace(self, path: str, written: Path, who: str, stopped: Callable[[], bool]) -> None:
        """Put the engine's files in place of whatever is there; stops between two files when cancelled."""
        fault = self._due(path)
        if fault is not None and fault.kind == "fail":
            raise fault.error()
        if fault is not None and fault.kind == "slow":
            _wait(fault.seconds, stopped)
        target = self._target(path, who)
        removed = target.names()
        for name in removed:
            target.delete(name)
        number = secrets.randbelow(10**19)
        target.put(f"_started_{number}", b"")
        added: list[str] = []
        for part in sorted(written.glob("part-*.parquet")):
            if fault is not None and fault.kind == "half" and len(added) == fault.files:
                _wait(fault.seconds, stopped)
                if fault.message or fault.error_class or fault.error_code:
                    raise fault.error()
            _refuse_stopped(stopped)
            added.append(_named(part.name, number, len(added)))
            target.put(added[-1], part.read_bytes())
        _refuse_stopped(stopped)
        target.put(f"_committed_{number}", json.dumps({"added": added, "removed": removed}).encode())
        target.put("_SUCCESS", b"")

    # Reading

    def fetched(self, path: str, who: str) -> Path:
        """A folder of this machine with the committed files of a path."""
        target = self._target(path, who)
        names = target.names()
        if not names:
            raise SqlError("PATH_NOT_FOUND", "42K03", f"Path does not exist: {path}.")
        wanted = [name for name in names if not name.startswith(("_", ".")) and _committed(name, names)]
        if not wanted:
            text = "Unable to infer schema for Parquet. It must be specified manually."
            raise SqlError("UNABLE_TO_INFER_SCHEMA", "42KD9", text)
        folder = self.scratch()
        for name in wanted:
            (folder / name).write_bytes(target.get(name))
        return folder

    def _target(self, path: str, who: str) -> Target:
        if path.startswith("/Volumes/"):
            return FolderTarget(self._volume(path, who, write=False))
        if self.s3 is None:
            raise Broken("IO_ERROR", f"There is no storage behind {path}: the workspace was given no S3 server.")
        bucket, _, prefix = path.removeprefix("s3://").partition("/")
        return S3Target(self.s3, bucket, f"{prefix}/")

    def _volume(self, path: str, who: str, *, write: bool) -> Path:
        try:
            return Volumes(self.world).spot(path, who, write=write).local
        except ApiError as error:
            raise from_api(error) from None

    def _due(self, path: str) -> ExportFault | None:
        for fault in self.faults:
            if fault.times and fault.path in path:
                fault.times -= 1
                return fault
        return None

    # Orders

    def order(self, body: Any = BODY) -> dict[str, Any]:
        """``s3``, ``files`` (parts of an export), ``instance_profile``, ``any_file`` (who has it)."""
        check(body, ORDERS)
        if "s3" in body:
            self.s3 = S3(**body["s3"])
        self.files = body.get("files", self.files)
        self.rules.instance_profile = body.get("instance_profile", self.rules.instance_profile)
        self.rules.any_file = set(body.get("any_file", self.rules.any_file))
        return {}

    def fail(self, body: Any = BODY) -> dict[str, Any]:
        """Order faults, see :class:`ExportFault`."""
        check(body, Each(FAULT))
        self.faults += [ExportFault(**one) for one in body]
        return {}

    def calm(self) -> dict[str, Any]:
        """No more faults."""
        self.faults.clear()
        return {}


def _named(name: str, number: int, place: int) -> str:
    """``part-00000-<uuid>-c000.snappy.parquet`` as the directory commit names it."""
    head, _, rest = name.removeprefix("part-").partition("-")
    middle = rest.removesuffix("-c000.snappy.parquet")
    return f"part-{head}-tid-{number}-{middle}-{place}-1-c000.snappy.parquet"


def _committed(name: str, names: Iterable[str]) -> bool:
    """Whether readers see a file: parts of a commit that has begun and not ended are left out."""
    if "-tid-" not in name:
        return "/" not in name
    number = name.partition("-tid-")[2].partition("-")[0]
    return "/" not in name and (f"_started_{number}" not in names or f"_committed_{number}" in names)


def _wait(seconds: float, stopped: Callable[[], bool]) -> None:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        _refuse_stopped(stopped)
        time.sleep(0.02)


def _refuse_stopped(stopped: Callable[[], bool]) -> None:
    if stopped():
        raise SqlError("OPERATION_CANCELED", "HY008", "Operation has been canceled.")


@functools.lru_cache(maxsize=8)
def exports_of(world: World) -> Exports:
    """The exports of a workspace."""
    return Exports(world)


def connect(world: World, endpoint: str) -> None:
    """Use an S3 server with the keys of the environment."""
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID", ""), os.environ.get("AWS_SECRET_ACCESS_KEY", "")
    region = os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    exports_of(world).s3 = S3(endpoint=endpoint, access_key=key, secret_key=secret, region=region)


def forget(folder: Path) -> None:
    """Remove a folder of this machine."""
    shutil.rmtree(folder, ignore_errors=True)


def router(world: World) -> APIRouter:
    """The orders."""
    exports, routes = exports_of(world), APIRouter(dependencies=[Depends(auth.admin(world))])
    for method, path, handler in (
        ("PATCH", "/admin/exports", exports.order),
        ("POST", "/admin/exports/faults", exports.fail),
        ("DELETE", "/admin/exports/faults", exports.calm),
    ):
        routes.add_api_route(path, handler, methods=[method], response_model=None)
    return routes
