"""The Files API on Volumes: bytes in folders on this machine, privileges of the volume enforced on every call."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse, Response

from tests.peers.databricks.auth import caller
from tests.peers.databricks.errors import ApiError, invalid
from tests.peers.databricks.requests_in import number, page_of
from tests.peers.databricks.workspace_files import tree_of
from tests.peers.databricks.world import World

MOST_ENTRIES = 1000
NOT_ENABLED = {
    "error_code": "PERMISSION_DENIED",
    "message": "Presigned URLs API is not enabled",
    "details": [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "FILES_API_API_IS_NOT_ENABLED",
            "domain": "filesystem.databricks.com",
        }
    ],
}


def missing(kind: str) -> ApiError:
    """404 of a file or directory that is not there."""
    return ApiError(404, "NOT_FOUND", f"The {kind} being accessed is not found.")


@dataclass(frozen=True)
class Spot:
    """A path in a volume: the volume's full name, the path inside, where that is on this machine."""

    volume: str
    inside: str
    local: Path

    @property
    def path(self) -> str:
        """The path as callers write it."""
        return "/".join(("/Volumes", *self.volume.split("."), *([self.inside] if self.inside else [])))


@dataclass
class Volumes:
    """The files of all volumes."""

    world: World

    def spot(self, path: str, principal: str, *, write: bool = False) -> Spot:
        """Where a path is, once the principal may READ VOLUME (and WRITE VOLUME) there; else ApiError."""
        parts = [part for part in path.split("/") if part]
        if len(parts) < 4 or parts[0] != "Volumes":
            raise invalid(f"Invalid path: {path}. It must be /Volumes/<catalog>/<schema>/<volume>/<path>.")
        if any(part in {".", ".."} or any(ord(letter) < 32 for letter in part) for part in parts):
            raise invalid(f"Invalid path: {path}.")
        name = ".".join(parts[1:4]).lower()
        with self.world.lock:
            for privilege in ("READ_VOLUME", "WRITE_VOLUME") if write else ("READ_VOLUME",):
                self.world.require(principal, privilege, "VOLUME", name)
            folder = Path(self.world.row("VOLUME", name).folder)
        return Spot(name, "/".join(parts[4:]), folder.joinpath(*parts[4:]))

    def keep(self, spot: Spot, written: Path, *, overwrite: bool) -> None:
        """Put a wholly written file in its place at once; 409 when something else is there."""
        if spot.local.is_dir() or not spot.inside:
            raise ApiError(409, "ALREADY_EXISTS", "The path being accessed is a directory.")
        spot.local.parent.mkdir(parents=True, exist_ok=True)
        if overwrite:
            written.replace(spot.local)
            return
        try:
            os.link(written, spot.local)
        except FileExistsError:
            raise ApiError(409, "ALREADY_EXISTS", "The file being created already exists.") from None

    def scratch(self) -> Path:
        """A name for bytes that are still arriving."""
        folder = self.world.folder / "uploads"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / secrets.token_hex(16)


def entry(spot: Spot, item: Path) -> dict[str, Any]:
    """A DirectoryEntry."""
    about = item.stat()
    found = {"name": item.name, "path": f"{spot.path}/{item.name}", "is_directory": item.is_dir()}
    if not item.is_dir():
        found |= {"file_size": about.st_size, "last_modified": int(about.st_mtime * 1000)}
    return found


def router(world: World) -> APIRouter:
    """The routes of the Files API, and the one by which a run's own process finds its mounted volumes."""
    api, volumes, who = APIRouter(), Volumes(world), Depends(caller(world))
    _file_routes(api, volumes, who)
    _directory_routes(api, volumes, who)

    @api.post("/api/2.0/fs/create-download-url")
    @api.post("/api/2.0/fs/create-upload-part-urls")
    @api.post("/api/2.0/fs/create-resumable-upload-url")
    @api.post("/api/2.0/fs/files/{path:path}")
    def presigned(_: str = who) -> JSONResponse:
        return JSONResponse(NOT_ENABLED, status_code=403)

    @api.get("/internal/files/mounted")
    def mounted(request: Request, principal: str = who) -> dict[str, str]:
        path, write = request.query_params.get("path", ""), "write" in request.query_params
        if path.startswith("/Workspace"):
            return {"local": str(tree_of(world).local(path, principal, write=write))}
        return {"local": str(volumes.spot(path, principal, write=write).local)}

    return api


def _file_routes(api: APIRouter, volumes: Volumes, who: Any) -> None:
    @api.put("/api/2.0/fs/files/{path:path}", status_code=204)
    async def upload(path: str, request: Request, principal: str = who) -> Response:
        spot = await run_in_threadpool(volumes.spot, path, principal, write=True)
        written = volumes.scratch()
        try:
            with written.open("wb") as file:
                async for chunk in request.stream():
                    file.write(chunk)
            overwrite = request.query_params.get("overwrite", "true").lower() != "false"
            await run_in_threadpool(volumes.keep, spot, written, overwrite=overwrite)
        finally:
            written.unlink(missing_ok=True)
        return Response(status_code=204)

    @api.get("/api/2.0/fs/files/{path:path}")
    @api.head("/api/2.0/fs/files/{path:path}")
    def download(path: str, principal: str = who) -> FileResponse:
        spot = volumes.spot(path, principal)
        if not spot.local.is_file():
            raise missing("file")
        return FileResponse(spot.local, media_type="application/octet-stream")

    @api.delete("/api/2.0/fs/files/{path:path}", status_code=204)
    def delete(path: str, principal: str = who) -> Response:
        spot = volumes.spot(path, principal, write=True)
        if not spot.local.is_file():
            raise missing("file")
        spot.local.unlink()
        return Response(status_code=204)


def _directory_routes(api: APIRouter, volumes: Volumes, who: Any) -> None:
    @api.put("/api/2.0/fs/directories/{path:path}", status_code=204)
    def make(path: str, principal: str = who) -> Response:
        spot = volumes.spot(path, principal, write=True)
        if spot.local.is_file():
            raise ApiError(409, "ALREADY_EXISTS", "The path being accessed is a file.")
        spot.local.mkdir(parents=True, exist_ok=True)
        return Response(status_code=204)

    @api.head("/api/2.0/fs/directories/{path:path}")
    def look(path: str, principal: str = who) -> Response:
        if not volumes.spot(path, principal).local.is_dir():
            raise missing("directory")
        return Response(status_code=200)

    @api.get("/api/2.0/fs/directories/{path:path}")
    def contents(path: str, request: Request, principal: str = who) -> dict[str, Any]:
        spot = volumes.spot(path, principal)
        if not spot.local.is_dir():
            raise missing("directory")
        size = min(number(request.query_params, "page_size", MOST_ENTRIES) or MOST_ENTRIES, MOST_ENTRIES)
        items, token = page_of(sorted(spot.local.iterdir()), request.query_params.get("page_token"), size)
        found: dict[str, Any] = {"contents": [entry(spot, item) for item in items]}
        return found | ({"next_page_token": token} if token else {})

    @api.delete("/api/2.0/fs/directories/{path:path}", status_code=204)
    def remove(path: str, principal: str = who) -> Response:
        spot = volumes.spot(path, principal, write=True)
        if not spot.local.is_dir():
            raise missing("directory")
        if not spot.inside or any(spot.local.iterdir()):
            raise ApiError(400, "BAD_REQUEST", "The directory being accessed is not empty.")
        shutil.rmtree(spot.local)
        return Response(status_code=204)
