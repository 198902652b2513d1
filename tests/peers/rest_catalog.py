"""A stand-in for an Iceberg REST catalog server; see README.md beside it for how it differs from real ones."""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

PREFIX = "main"
SEPARATOR = "\x1f"
RIGHTS = ("read", "write", "admin")
ENDPOINTS = [
    f"{method} /v1/{{prefix}}/{path}"
    for path, methods in {
        "namespaces": "GET POST",
        "namespaces/{namespace}": "GET HEAD DELETE",
        "namespaces/{namespace}/properties": "POST",
        "namespaces/{namespace}/tables": "GET POST",
        "namespaces/{namespace}/tables/{table}": "GET HEAD POST DELETE",
        "namespaces/{namespace}/register": "POST",
        "tables/rename": "POST",
    }.items()
    for method in methods.split()
]


class Refusal(Exception):
    """An error answer of the spec: status, type, message."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


@dataclass
class State:
    """Everything that can be ordered from outside while the server runs."""

    rights: dict[str, str] = field(default_factory=dict)
    clients: dict[str, str] = field(default_factory=dict)
    deny: set[str] = field(default_factory=set)
    faults: list[dict[str, Any]] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, method: str, path: str) -> dict[str, Any]:
        """Take the next ordered fault that fits this request."""
        with self.lock:
            for order in self.faults:
                if order.get("method", method) == method and order.get("path", "") in path and order["times"] > 0:
                    order["times"] -= 1
                    return order
        return {}


class Lake:
    """The requests of the spec over a pyiceberg SqlCatalog."""

    def __init__(self, database: str, warehouse: str) -> None:
        from pyiceberg.catalog.sql import SqlCatalog

        self.catalog = SqlCatalog("rest", uri=database, warehouse=warehouse)

    # Namespaces. SqlCatalog joins levels by dots, so a dot inside a level is written %2E there.

    @staticmethod
    def inner(levels: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(level.replace("%", "%25").replace(".", "%2E") for level in levels)

    @staticmethod
    def outer(levels: tuple[str, ...]) -> list[str]:
        return [level.replace("%2E", ".").replace("%25", "%") for level in levels]

    def list_namespaces(self, parent: tuple[str, ...]) -> list[list[str]]:
        return sorted(self.outer(item) for item in self.catalog.list_namespaces(self.inner(parent)))

    def create_namespace(self, levels: tuple[str, ...], properties: dict[str, str]) -> dict[str, Any]:
        self.catalog.create_namespace(self.inner(levels), properties)
        return {"namespace": list(levels), "properties": properties}

    def namespace(self, levels: tuple[str, ...]) -> dict[str, Any]:
        found = self.catalog.load_namespace_properties(self.inner(levels))
        return {"namespace": list(levels), "properties": {k: v for k, v in found.items() if k != "exists"}}

    def change_namespace(self, levels: tuple[str, ...], body: dict[str, Any]) -> dict[str, Any]:
        done = self.catalog.update_namespace_properties(
            self.inner(levels), set(body.get("removals") or ()), body.get("updates") or {}
        )
        return {"updated": done.updated, "removed": done.removed, "missing": done.missing}

    def drop_namespace(self, levels: tuple[str, ...]) -> None:
        self.catalog.drop_namespace(self.inner(levels))

    # Tables

    def list_tables(self, levels: tuple[str, ...]) -> list[dict[str, Any]]:
        names = sorted(identifier[-1] for identifier in self.catalog.list_tables(self.inner(levels)))
        return [{"namespace": list(levels), "name": name} for name in names]

    def _path(self, levels: tuple[str, ...], name: str) -> tuple[str, ...]:
        return (*self.inner(levels), name)

    def load(self, levels: tuple[str, ...], name: str) -> dict[str, Any]:
        try:
            table = self.catalog.load_table(self._path(levels, name))
        except FileNotFoundError as error:
            raise Refusal(404, "NotFoundException", f"Location does not exist: {error}") from None
        return self._loaded(table.metadata_location)

    @staticmethod
    def _loaded(location: str) -> dict[str, Any]:
        path = Path(location.removeprefix("file://"))
        return {"metadata-location": location, "metadata": json.loads(path.read_bytes()), "config": {}}

    def create(self, levels: tuple[str, ...], body: dict[str, Any]) -> dict[str, Any]:
        from pyiceberg.catalog.rest import CreateTableRequest
        from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
        from pyiceberg.table.sorting import UNSORTED_SORT_ORDER

        optional = {"location": None, "partition-spec": None, "write-order": None}
        asked = CreateTableRequest.model_validate({**optional, **body})
        path = self._path(levels, asked.name)
        given: dict[str, Any] = {
            "schema": asked.table_schema,
            "location": asked.location,
            "partition_spec": asked.partition_spec or UNPARTITIONED_PARTITION_SPEC,
            "sort_order": asked.write_order or UNSORTED_SORT_ORDER,
            "properties": asked.properties,
        }
        if asked.stage_create:
            staged = self.catalog._create_staged_table(path, **given)
            return {"metadata": json.loads(staged.metadata.model_dump_json()), "config": {}}
        return self._loaded(self.catalog.create_table(path, **given).metadata_location)

    def commit(self, levels: tuple[str, ...], name: str, body: dict[str, Any]) -> dict[str, Any]:
        from pydantic import TypeAdapter
        from pyiceberg.table.update import TableRequirement, TableUpdate

        requirements = TypeAdapter(tuple[TableRequirement, ...]).validate_python(body.get("requirements") or [])
        updates = TypeAdapter(tuple[TableUpdate, ...]).validate_python(body.get("updates") or [])
        done = self.catalog.commit_table(_Named(self._path(levels, name)), requirements, updates)  # type: ignore[arg-type]
        return self._loaded(done.metadata_location)

    def register(self, levels: tuple[str, ...], body: dict[str, Any]) -> dict[str, Any]:
        location = body["metadata-location"]
        if not Path(location.removeprefix("file://")).exists():
            raise Refusal(404, "NotFoundException", f"Location does not exist: {location}")
        table = self.catalog.register_table(self._path(levels, body["name"]), location)
        return self._loaded(table.metadata_location)

    def rename(self, body: dict[str, Any]) -> None:
        old, new = body["source"], body["destination"]
        self.catalog.rename_table(
            self._path(tuple(old["namespace"]), old["name"]), self._path(tuple(new["namespace"]), new["name"])
        )

    def drop(self, levels: tuple[str, ...], name: str) -> None:
        self.catalog.drop_table(self._path(levels, name))


@dataclass
class _Named:
    """What SqlCatalog.commit_table asks of a table."""

    path: tuple[str, ...]

    def name(self) -> tuple[str, ...]:
        return self.path


STATUS = {
    "NoSuchNamespaceError": (404, "NoSuchNamespaceException"),
    "NoSuchTableError": (404, "NoSuchTableException"),
    "NamespaceAlreadyExistsError": (409, "AlreadyExistsException"),
    "TableAlreadyExistsError": (409, "AlreadyExistsException"),
    "NamespaceNotEmptyError": (409, "NamespaceNotEmptyException"),
    "CommitFailedException": (409, "CommitFailedException"),
    "ValidationError": (400, "BadRequestException"),
    "KeyError": (400, "BadRequestException"),
}


class Handler(BaseHTTPRequestHandler):
    """One request: fault, right, route, answer."""

    protocol_version = "HTTP/1.1"
    lake: Lake
    state: State

    def log_message(self, *_: Any) -> None:
        """Say nothing on stderr; the log is at /control/log."""

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815 - the stdlib's names

    def _serve(self) -> None:
        split = urlsplit(self.path)
        segments = [unquote(part) for part in split.path.split("/")[1:]]
        query = {key: values[-1] for key, values in parse_qs(split.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if segments[0] == "control":
            return self._control(segments[1], body)
        fault = self.state.fault(self.command, split.path)
        if fault.get("fault") == "slow":
            time.sleep(fault.get("seconds", 1))
        if fault.get("fault") == "cut":
            return self._hang_up(split.path)
        status = fault.get("fault")
        if isinstance(status, int):
            after = {"Retry-After": str(fault["retry_after"])} if "retry_after" in fault else {}
            return self._answer(status, _error(status, "OrderedFault", "ordered by a test"), after)
        answer, result = self._result(segments, query, body)
        if status == "lost":
            return self._hang_up(split.path)
        return self._answer(answer, result)

    def _result(self, segments: list[str], query: dict[str, str], body: bytes) -> tuple[int, Any]:
        try:
            if segments[1:] == ["oauth", "tokens"]:
                return self._login(parse_qs(body.decode()))
            right = self._right()
            if segments[1:] == ["config"]:
                return 200, {"defaults": {}, "overrides": {"prefix": PREFIX}, "endpoints": ENDPOINTS}
            if segments[:2] != ["v1", PREFIX]:
                return 404, _error(404, "NotFoundException", f"no such route: {self.path}")
            return self._route(segments[2:], query, json.loads(body or b"{}"), right)
        except Refusal as refusal:
            return refusal.status, _error(refusal.status, refusal.kind, str(refusal))
        except Exception as error:  # noqa: BLE001 - a server answers whatever goes wrong
            status, kind = STATUS.get(type(error).__name__, (500, "InternalServerError"))
            return status, _error(status, kind, f"{type(error).__name__}: {error}")

    def _route(self, path: list[str], query: dict[str, str], body: dict[str, Any], right: str) -> tuple[int, Any]:
        lake, method = self.lake, self.command
        if path == ["tables", "rename"]:
            self._need(right, "write", "TABLE_RENAME")
            return 204, lake.rename(body)
        if path[0] != "namespaces":
            raise Refusal(404, "NotFoundException", f"no such route: {self.path}")
        if len(path) == 1:
            return self._namespaces(query, body, right)
        levels = tuple(path[1].split(SEPARATOR))
        rest = path[2:]
        if not rest:
            return self._namespace(levels, right)
        if rest == ["properties"]:
            self._need(right, "admin", "NAMESPACE_WRITE_PROPERTIES")
            return 200, lake.change_namespace(levels, body)
        if rest == ["register"]:
            self._need(right, "write", "TABLE_CREATE")
            return 200, lake.register(levels, body)
        if rest == ["tables"]:
            if method == "GET":
                return 200, _page("identifiers", lake.list_tables(levels), query)
            self._need(right, "write", "TABLE_CREATE")
            return 200, lake.create(levels, body)
        return self._table(levels, rest[1], body, right)

    def _namespaces(self, query: dict[str, str], body: dict[str, Any], right: str) -> tuple[int, Any]:
        if self.command == "POST":
            self._need(right, "admin", "NAMESPACE_CREATE")
            return 200, self.lake.create_namespace(tuple(body["namespace"]), body.get("properties") or {})
        parent = tuple(query["parent"].split(SEPARATOR)) if query.get("parent") else ()
        return 200, _page("namespaces", self.lake.list_namespaces(parent), query)

    def _namespace(self, levels: tuple[str, ...], right: str) -> tuple[int, Any]:
        found = self.lake.namespace(levels)
        if self.command == "DELETE":
            self._need(right, "admin", "NAMESPACE_DROP")
            return 204, self.lake.drop_namespace(levels)
        return (204, None) if self.command == "HEAD" else (200, found)

    def _table(self, levels: tuple[str, ...], name: str, body: dict[str, Any], right: str) -> tuple[int, Any]:
        if ".".join((*levels, name)) in self.state.deny:
            raise Refusal(403, "ForbiddenException", f"not authorized: TABLE_READ_DATA on {name}")
        match self.command:
            case "POST":
                self._need(right, "write", "TABLE_WRITE_DATA")
                return 200, self.lake.commit(levels, name, body)
            case "DELETE":
                self._need(right, "write", "TABLE_DROP")
                return 204, self.lake.drop(levels, name)
            case method:
                found = self.lake.load(levels, name)
                return (204, None) if method == "HEAD" else (200, found)

    # Rights

    def _right(self) -> str:
        if not self.state.rights:
            return "admin"
        bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
        right = self.state.rights.get(bearer)
        if right is None:
            raise Refusal(401, "NotAuthorizedException", "the bearer is not known")
        return right

    @staticmethod
    def _need(right: str, least: str, name: str) -> None:
        if RIGHTS.index(right) < RIGHTS.index(least):
            raise Refusal(403, "ForbiddenException", f"not authorized: {name}")

    def _login(self, form: dict[str, list[str]]) -> tuple[int, Any]:
        client = f"{form.get('client_id', [''])[0]}:{form.get('client_secret', [''])[0]}"
        bearer = self.state.clients.get(client)
        if bearer is None:
            return 401, {"error": "invalid_client", "error_description": "client or secret is wrong"}
        return 200, {"access_token": bearer, "token_type": "bearer", "expires_in": 3600}

    # Answers

    def _control(self, what: str, body: bytes) -> None:
        state = self.state
        with state.lock:
            if what == "log":
                answer: Any = list(state.log)
            elif what == "faults":
                state.faults[:] = [{"times": 1, **order} for order in json.loads(body)]
                state.log.clear()
                answer = {}
            else:
                order = json.loads(body)
                state.deny = set(order.get("deny", ()))
                answer = {}
        self._answer(200, answer, logged=False)

    def _answer(self, status: int, result: Any, headers: dict[str, str] | None = None, *, logged: bool = True) -> None:
        data = b"" if result is None or self.command == "HEAD" else json.dumps(result).encode()
        if logged:
            self._note(status)
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        if data:
            self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(data)

    def _hang_up(self, path: str) -> None:
        self._note(0)
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _note(self, status: int) -> None:
        with self.state.lock:
            self.state.log.append({"method": self.command, "path": urlsplit(self.path).path, "status": status})


def _error(status: int, kind: str, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "code": status}}


def _page(key: str, items: list[Any], query: dict[str, str]) -> dict[str, Any]:
    size = int(query.get("pageSize") or 0)
    start = int(query.get("pageToken") or 0)
    if not size:
        return {key: items}
    end = start + size
    return {key: items[start:end], "next-page-token": str(end) if end < len(items) else None}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", required=True, help="SQLAlchemy address of the catalog's database")
    parser.add_argument("--warehouse", required=True, help="file:// folder for new tables")
    parser.add_argument("--rights", help='file of {"rights": {bearer: right}, "clients": {"id:secret": bearer}}')
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args(arguments)
    state = State(**json.loads(Path(given.rights).read_text())) if given.rights else State()
    served = type("Served", (Handler,), {"lake": Lake(given.database, given.warehouse), "state": state})
    with ThreadingHTTPServer(("127.0.0.1", given.port), served) as server:
        server.daemon_threads = True
        print(json.dumps({"uri": f"http://127.0.0.1:{server.server_address[1]}"}), flush=True)
        server.serve_forever()


# For tests


@dataclass
class Peer:
    """A running stand-in."""

    uri: str
    warehouse: str

    def properties(self, **more: str) -> dict[str, str]:
        return {"type": "rest", "uri": self.uri, "warehouse": self.warehouse, **more}

    def order(self, *faults: dict[str, Any]) -> None:
        """Order faults for the next matching requests: ``{"method", "path", "fault": 503|"lost"|"cut"|"slow"}``."""
        self._post("faults", list(faults))

    def deny(self, *tables: str) -> None:
        self._post("deny", {"deny": list(tables)})

    def log(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.uri}/control/log", timeout=10) as answer:
            return list(json.load(answer))

    def _post(self, what: str, body: Any) -> None:
        request = urllib.request.Request(f"{self.uri}/control/{what}", json.dumps(body).encode(), method="POST")
        urllib.request.urlopen(request, timeout=10).close()


@contextlib.contextmanager
def running(folder: Path, rights: dict[str, Any] | None = None) -> Iterator[Peer]:
    """Run the stand-in as its own process over a catalog in ``folder``, until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    warehouse = f"file://{folder}/warehouse"
    command = [sys.executable, "-m", "tests.peers.rest_catalog", "--database", f"sqlite:///{folder}/rest.db"]
    command += ["--warehouse", warehouse]
    if rights is not None:
        (folder / "rights.json").write_text(json.dumps(rights))
        command += ["--rights", str(folder / "rights.json")]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            yield Peer(uri=json.loads(line)["uri"], warehouse=warehouse)
        finally:
            process.kill()


if __name__ == "__main__":
    main(sys.argv[1:])
