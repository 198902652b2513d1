"""What tests order from the stand-in, by HTTP with a bearer: faults, limits, databases, the log."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.peers.mssql.interface import SqlError
from tests.peers.mssql.server import Server

Route = Callable[[Any, dict[str, str]], Any]


def routes(server: Server) -> dict[tuple[str, str], Route]:
    """Method and path → what is done with body and query."""
    engine: Any = server.engine

    def drop(body: Any, _: dict[str, str]) -> None:
        server.kill(body["name"])
        server.wait_gone(body["name"])
        engine.drop_database(body["name"])

    def limit(body: Any, _: dict[str, str]) -> Any:
        if unknown := set(body) - set(server.limits):
            raise ValueError(f"unknown limits: {sorted(unknown)}")
        server.limits.update(body)
        return server.limits

    def create(body: Any, _: dict[str, str]) -> None:
        engine.create_database(body["name"])
        if body.get("allow_snapshot"):
            engine.set_option(body["name"], "ALLOW_SNAPSHOT_ISOLATION", "ON")

    def reset(_body: Any, _query: dict[str, str]) -> None:
        server.faults.clear()
        server.faults.forget()
        server.limits.update({"max_connections": 0, "frozen": False})

    return {
        ("GET", "/faults"): lambda _, __: server.faults.waiting(),
        ("POST", "/faults"): lambda body, _: server.faults.order(body),
        ("DELETE", "/faults"): lambda _, __: server.faults.clear(),
        ("GET", "/log"): lambda _, query: server.faults.log(query),
        ("DELETE", "/log"): lambda _, __: server.faults.forget(),
        ("GET", "/connections"): lambda _, __: server.connections(),
        ("POST", "/kill"): lambda body, _: {"killed": server.kill((body or {}).get("database", ""))},
        ("PATCH", "/limits"): limit,
        ("POST", "/databases"): create,
        ("DELETE", "/databases"): drop,
        ("POST", "/reset"): reset,
    }


class Admin:
    """The HTTP server."""

    def __init__(self, server: Server) -> None:
        self.token = secrets.token_urlsafe(24)
        table, token = routes(server), self.token

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if not secrets.compare_digest(self.headers.get("Authorization", ""), f"Bearer {token}"):
                    self.say(HTTPStatus.UNAUTHORIZED, {"error": "no bearer"})
                    return
                address = urlsplit(self.path)
                route = table.get((self.command, address.path))
                if route is None:
                    self.say(HTTPStatus.NOT_FOUND, {"error": f"no route {self.command} {address.path}"})
                    return
                try:
                    found = route(json.loads(body) if body else None, dict(parse_qsl(address.query)))
                except (ValueError, KeyError, TypeError, SqlError) as error:
                    self.say(HTTPStatus.BAD_REQUEST, {"error": f"{type(error).__name__}: {error}"})
                    return
                self.say(HTTPStatus.OK, found)

            def say(self, status: HTTPStatus, body: Any) -> None:
                raw = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: Any) -> None:
                """Say nothing: standard error is for the stand-in's faults."""

            do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815 - names of http.server

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
