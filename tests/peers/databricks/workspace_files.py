"""Workspace files: import, export, list; notebooks and files are different things, homes belong to their users."""

from __future__ import annotations

import base64
import binascii
import functools
import itertools
import json
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from tests.peers.databricks.auth import caller
from tests.peers.databricks.errors import ApiError, invalid
from tests.peers.databricks.model import now_ms
from tests.peers.databricks.requests_in import BODY, switch
from tests.peers.databricks.shapes import BOOLEAN, TEXT, Fields, check
from tests.peers.databricks.world import World

FORMATS = frozenset({"AUTO", "DBC", "HTML", "JUPYTER", "RAW", "R_MARKDOWN", "SOURCE"})
LANGUAGES = frozenset({"PYTHON", "R", "SCALA", "SQL"})
IMPORT = Fields(
    {"path": TEXT, "content": TEXT, "format": FORMATS, "language": LANGUAGES, "overwrite": BOOLEAN}, ("path",)
)
ONE_PATH = Fields({"path": TEXT}, ("path",))
DELETE = Fields({"path": TEXT, "recursive": BOOLEAN}, ("path",))
NOTEBOOK_HEADER = b"# Databricks notebook source"
MOST_BYTES = 10 * 1024 * 1024


@dataclass(kw_only=True)
class Item:
    """One object of the workspace tree."""

    object_id: int
    object_type: str
    language: str = ""
    content: bytes = b""
    created_at: int = field(default_factory=now_ms)
    modified_at: int = field(default_factory=now_ms)

    def as_json(self, path: str) -> dict[str, Any]:
        """An ObjectInfo."""
        found = {
            "object_type": self.object_type,
            "path": path,
            "object_id": self.object_id,
            "resource_id": str(self.object_id),
        }
        if self.object_type == "NOTEBOOK":
            found["language"] = self.language
        if self.object_type == "FILE":
            found |= {"size": len(self.content)}
        return found | {"created_at": self.created_at, "modified_at": self.modified_at}


@dataclass
class Tree:
    """The workspace tree: paths without the prefix /Workspace."""

    world: World
    items: dict[str, Item] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(4_000_000_000_000_001))
    lock: threading.RLock = field(default_factory=threading.RLock)

    def plain(self, path: str) -> str:
        """A path without /Workspace and without a slash at its end."""
        found = re.sub(r"^/Workspace(?=/|$)", "", path).rstrip("/") or "/"
        if not path.startswith("/"):
            raise invalid(f"Path ({path}) doesn't start with '/'")
        if any(part in {".", ".."} for part in found.split("/")):
            raise invalid(f"Path ({path}) is not valid")
        return found

    def require(self, path: str, principal: str) -> None:
        """403 for somebody else's home; homes belong to their users and to admins, the rest to everybody."""
        home = re.match(r"/Users/([^/]+)", path)
        if home and home[1] != principal and "admins" not in self.world.groups_of(principal):
            raise ApiError(403, "PERMISSION_DENIED", f"{principal} does not have required permissions on {path}.")

    def is_folder(self, path: str) -> bool:
        """Whether a folder is there; roots and the homes of known principals always are."""
        if path in {"/", "/Shared", "/Users"}:
            return True
        home = re.fullmatch(r"/Users/([^/]+)", path)
        if home and home[1] in self.world.state.principals:
            return True
        return path in self.items and self.items[path].object_type == "DIRECTORY"

    def get(self, path: str, principal: str) -> Item:
        """An object; 404 RESOURCE_DOES_NOT_EXIST."""
        found = self.plain(path)
        self.require(found, principal)
        if found in self.items:
            return self.items[found]
        if self.is_folder(found):
            return Item(object_id=sum(found.encode()), object_type="DIRECTORY")
        raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Path ({found}) doesn't exist.")

    def put(self, asked: dict[str, Any], content: bytes, principal: str) -> None:
        """Import one object."""
        path = self.plain(asked["path"])
        self.require(path, principal)
        if len(content) > MOST_BYTES:
            raise ApiError(
                400, "MAX_NOTEBOOK_SIZE_EXCEEDED", f"File size imported is ({len(content)} bytes), exceeded max size"
            )
        path, kind, language = _kind(asked, path, content)
        with self.lock:
            if not self.is_folder(path.rpartition("/")[0] or "/"):
                raise ApiError(
                    404, "RESOURCE_DOES_NOT_EXIST", f"The parent folder ({path.rpartition('/')[0]}) does not exist."
                )
            before = self.items.get(path)
            if self.is_folder(path) or (before and (not asked.get("overwrite") or before.object_type != kind)):
                raise ApiError(400, "RESOURCE_ALREADY_EXISTS", f"Path ({path}) already exists.")
            number = before.object_id if before else next(self.numbers)
            self.items[path] = Item(object_id=number, object_type=kind, language=language, content=content)
            self._mirror(path, content)

    def local(self, path: str, principal: str, *, write: bool) -> Path:
        """Where programs find an object that their principal may read; nothing can be written that way."""
        if write:
            raise ApiError(403, "PERMISSION_DENIED", f"{path}: the local workspace mounts /Workspace for reading only.")
        if self.get(path, principal).object_type == "DIRECTORY":
            self._place(path).mkdir(parents=True, exist_ok=True)
        return self._place(path)

    def _place(self, path: str) -> Path:
        return self.world.folder / "workspace" / self.plain(path).lstrip("/")

    def _mirror(self, path: str, content: bytes) -> None:
        place = self._place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        written = self.world.folder / f"import-{next(self.numbers)}"
        written.write_bytes(content)
        written.replace(place)

    def make_folder(self, path: str, principal: str) -> None:
        """Make a folder and those above it."""
        found = self.plain(path)
        self.require(found, principal)
        with self.lock:
            parts = found.strip("/").split("/")
            for end in range(1, len(parts) + 1):
                folder = "/" + "/".join(parts[:end])
                if folder in self.items and self.items[folder].object_type != "DIRECTORY":
                    raise ApiError(400, "RESOURCE_ALREADY_EXISTS", f"Path ({folder}) already exists.")
                if not self.is_folder(folder):
                    self.items[folder] = Item(object_id=next(self.numbers), object_type="DIRECTORY")

    def children(self, path: str, principal: str) -> list[dict[str, Any]]:
        """What stands directly in a folder, or the object itself."""
        found = self.plain(path)
        item = self.get(found, principal)
        if item.object_type != "DIRECTORY":
            return [item.as_json(found)]
        start = found.rstrip("/") + "/"
        inside = [name for name in sorted(self.items) if name.startswith(start) and "/" not in name[len(start) :]]
        return [self.items[name].as_json(name) for name in inside]

    def remove(self, path: str, principal: str, *, recursive: bool) -> None:
        """Delete an object, a folder only with all that is in it."""
        found = self.plain(path)
        with self.lock:
            self.get(found, principal)
            below = [name for name in self.items if name.startswith(found.rstrip("/") + "/")]
            if below and not recursive:
                raise ApiError(400, "DIRECTORY_NOT_EMPTY", f"Folder ({found}) is not empty")
            for name in [*below, found]:
                self.items.pop(name, None)
            place = self._place(found)
            shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)


def _kind(asked: dict[str, Any], path: str, content: bytes) -> tuple[str, str, str]:
    """(path, object type, language): SOURCE makes notebooks, RAW files, AUTO looks at the content."""
    form = asked.get("format", "SOURCE")
    if form == "RAW" or (form == "AUTO" and not (path.endswith(".py") and content.startswith(NOTEBOOK_HEADER))):
        return path, "FILE", ""
    if form == "AUTO":
        return path.removesuffix(".py"), "NOTEBOOK", "PYTHON"
    if form != "SOURCE":
        raise invalid(f"The stand-in does not import the format {form}.")
    if not asked.get("language"):
        raise invalid("The language must be set for the format SOURCE.")
    return path, "NOTEBOOK", asked["language"]


@functools.cache
def tree_of(world: World) -> Tree:
    """The tree of a workspace, one object for every router."""
    return Tree(world)


def router(world: World) -> APIRouter:
    """The routes of the Workspace API."""
    api, tree, who, body_of = APIRouter(), tree_of(world), Depends(caller(world)), BODY

    @api.post("/api/2.0/workspace/import")
    async def put(request: Request, principal: str = who) -> dict[str, Any]:
        asked, content = await _imported(request)
        tree.put(asked, content, principal)
        return {}

    @api.get("/api/2.0/workspace/export")
    def export(request: Request, principal: str = who) -> Response:
        item = tree.get(request.query_params.get("path", ""), principal)
        if item.object_type == "DIRECTORY":
            raise invalid("Only notebooks and files can be exported in this format.")
        if switch(request.query_params, "direct_download"):
            return Response(item.content, media_type="application/octet-stream")
        file_type = {"PYTHON": "py", "SQL": "sql", "R": "r", "SCALA": "scala"}.get(item.language, "")
        return JSONResponse({"content": base64.b64encode(item.content).decode(), "file_type": file_type})

    @api.get("/api/2.0/workspace/get-status")
    def status(request: Request, principal: str = who) -> dict[str, Any]:
        path = request.query_params.get("path", "")
        return tree.get(path, principal).as_json(tree.plain(path))

    @api.get("/api/2.0/workspace/list")
    def children(request: Request, principal: str = who) -> dict[str, Any]:
        found = tree.children(request.query_params.get("path", ""), principal)
        return {"objects": found} if found else {}

    @api.post("/api/2.0/workspace/mkdirs")
    def mkdirs(body: Any = body_of, principal: str = who) -> dict[str, Any]:
        check(body, ONE_PATH)
        tree.make_folder(body["path"], principal)
        return {}

    @api.post("/api/2.0/workspace/delete")
    def delete(body: Any = body_of, principal: str = who) -> dict[str, Any]:
        check(body, DELETE)
        tree.remove(body["path"], principal, recursive=body.get("recursive", False))
        return {}

    return api


async def _imported(request: Request) -> tuple[dict[str, Any], bytes]:
    """What an import says, as JSON with base64 or as a form with the bytes themselves."""
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/form-data"):
        parts = _parts(kind, await request.body())
        content = parts.pop("content", b"")
        asked: dict[str, Any] = {name: value.decode() for name, value in parts.items()}
        if "overwrite" in asked:
            asked["overwrite"] = asked["overwrite"] == "true"
        check(asked, IMPORT)
        return asked, content
    asked = json.loads(await request.body() or b"{}")
    check(asked, IMPORT)
    try:
        return asked, base64.b64decode(asked.get("content", ""), validate=True)
    except binascii.Error:
        raise invalid("The content must be base64 encoded.") from None


def _parts(kind: str, body: bytes) -> dict[str, bytes]:
    boundary = re.search(r'boundary="?([^";]+)', kind)
    if boundary is None:
        raise ApiError(400, "MALFORMED_REQUEST", "Could not parse request object: no boundary")
    found = {}
    for part in body.split(b"--" + boundary[1].encode())[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        if name:
            found[name[1].decode()] = content.removesuffix(b"\r\n")
    return found
