"""The HTTP routes that Snowflake's drivers call."""

from __future__ import annotations

import asyncio
import gzip
import hmac
import json
import logging
import secrets
import threading
from dataclasses import dataclass
from typing import Any

from fakesnow.converter import from_binding
from fakesnow.transforms import SERVER_VERSION
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.peers.snowflake import statements
from tests.peers.snowflake.errors import SnowflakeError, canceled, missing
from tests.peers.snowflake.faults import Fault
from tests.peers.snowflake.lexer import Reader
from tests.peers.snowflake.session import Session
from tests.peers.snowflake.statements import Batch
from tests.peers.snowflake.world import Query, World

LOG = logging.getLogger("snowflake-peer")
ASYNC, IN_PROGRESS = "333334", "333333"


@dataclass
class Routes:
    """The drivers' side of the account."""

    world: World

    async def login(self, request: Request) -> JSONResponse:
        try:
            return JSONResponse(await asyncio.to_thread(self._login, dict(request.query_params), await _json(request)))
        except SnowflakeError as error:
            return _failed(error)

    def _login(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        data, world = body["data"], self.world
        user = world.users.get(str(data.get("LOGIN_NAME", "")).upper())
        given = str(data.get("PASSWORD", ""))
        if user is None or not hmac.compare_digest(user.password.encode(), given.encode()):
            raise SnowflakeError(390100, "08001", "Incorrect username or password was specified.")
        token = secrets.token_urlsafe(32)
        with world.lock:
            conn, number = world.engine.connect(), next(world.numbers)
        session = Session(world=world, user=user.name, role=user.default_role, token=token, id=number, conn=conn)
        for name, value in (data.get("SESSION_PARAMETERS") or {}).items():
            if name.upper() in statements.PARAMETERS:
                statements.set_parameter(session, name.upper(), value)
        if query.get("roleName"):
            statements.change_role(session, _folded(query["roleName"]))
        session.warehouse = _folded(query["warehouse"]) if query.get("warehouse") else None
        self._place(session, query.get("databaseName"), query.get("schemaName"))
        world.sessions[token] = session
        return {"success": True, "code": None, "message": None, "data": _logged_in(session)}

    @staticmethod
    def _place(session: Session, database: str | None, schema: str | None) -> None:
        """A database or schema that is not there is no error at login, as with the real one."""
        for inner in (schema, None) if database else ():
            try:
                session.use(_folded(str(database)), _folded(inner) if inner else None)
            except SnowflakeError as error:
                if error.code != missing("", "").code:
                    raise
            else:
                return

    async def query(self, request: Request) -> JSONResponse:
        session = self._session(request)
        if session is None:
            return _expired()
        body, request_id = await _json(request), request.query_params.get("requestId", "")
        with self.world.lock:
            query = self.world.requests.get(request_id) if request_id else None
            if query is None:
                query = self._start(session, body, request_id, request.scope.get("icebridge.fault"))
        if body.get("asyncExec"):
            data = {"queryId": query.id, "getResultUrl": f"/queries/{query.id}/result", "queryAbortsAfterSecs": 300}
            return JSONResponse({"success": True, "code": ASYNC, "message": None, "data": data})
        return await self._answer(query)

    def _start(self, session: Session, body: dict[str, Any], request_id: str, fault: Fault | None) -> Query:
        parameters = body.get("parameters") or {}
        tag = str(parameters.get("QUERY_TAG") or session.parameters.get("QUERY_TAG") or "")
        query = self.world.begin(session, body["sqlText"], request_id, tag)
        work = threading.Thread(target=self._work, args=(query, body.get("bindings"), fault), daemon=True)
        work.start()
        return query

    def _work(self, query: Query, bindings: Any, fault: Fault | None) -> None:
        """Run a statement in its session's turn; every end is noted."""
        session = query.session
        try:
            with session.lock:
                session.running = query
                try:
                    if fault is not None:
                        _spoil(query, fault)
                    if query.cancel.is_set():
                        raise canceled()
                    query.data = {"queryId": query.id, **statements.run(query, _bound(bindings))}
                    query.data["queryId"] = query.id
                    query.status = "SUCCESS"
                finally:
                    session.running = None
        except SnowflakeError as error:
            query.error = canceled() if query.cancel.is_set() else error
        except Exception as error:  # what nobody foresaw is a Snowflake error too: a 500 would be retried for minutes
            LOG.exception("statement %s", query.text)
            text = f"SQL execution internal error:\nProcessing aborted: {type(error).__name__}: {error}"
            query.error = canceled() if query.cancel.is_set() else SnowflakeError(603, "XX000", text)
        finally:
            if query.error is not None:
                query.status = "FAILED_WITH_ERROR"
            query.ended = self.world.now()
            query.outcome.set_result(None)

    async def _answer(self, query: Query) -> JSONResponse:
        try:
            limit = self.world.settings["answer_within_seconds"]
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(query.outcome)), limit)
        except TimeoutError:
            data = {"queryId": query.id, "getResultUrl": f"/queries/{query.id}/result"}
            return JSONResponse({"success": True, "code": IN_PROGRESS, "message": None, "data": data})
        if query.error is not None:
            return _failed(query.error, query.id)
        if query.data is None:
            return _failed(SnowflakeError(709, "02000", f"Statement {query.id} not found"))
        return JSONResponse({"success": True, "code": None, "message": None, "data": query.data})

    async def result(self, request: Request) -> JSONResponse:
        query = self._query(request)
        return await self._answer(query) if query else _failed(SnowflakeError(709, "02000", "Statement not found"))

    async def monitor(self, request: Request) -> JSONResponse:
        if self._session(request) is None:
            return _expired()
        query = self._query(request)
        rows = []
        if query is not None:
            rows.append({"id": query.id, "status": query.status, "sqlText": query.text})
            if query.error is not None:
                rows[0] |= {"errorCode": f"{query.error.code:06d}", "errorMessage": query.error.message}
        return JSONResponse({"success": True, "code": None, "message": None, "data": {"queries": rows}})

    async def abort(self, request: Request) -> JSONResponse:
        query = self._query(request)
        if query is None:
            wanted = (await _json(request)).get("requestId", "")
            query = self.world.requests.get(str(wanted))
        if query is not None and self._session(request) is not None:
            await asyncio.to_thread(statements.cancel, query)
        return JSONResponse({"success": query is not None, "code": None, "message": None, "data": None})

    async def session(self, request: Request) -> JSONResponse:
        found = self._session(request)
        if found is None:
            return _expired()
        if request.query_params.get("delete"):
            await asyncio.to_thread(found.close)
        return JSONResponse({"success": True, "code": None, "message": None, "data": None})

    async def ignore(self, request: Request) -> JSONResponse:
        del request
        return JSONResponse({"success": True, "code": None, "message": None, "data": None})

    def _session(self, request: Request) -> Session | None:
        header = request.headers.get("Authorization", "")
        return self.world.sessions.get(header.removeprefix('Snowflake Token="').removesuffix('"'))

    def _query(self, request: Request) -> Query | None:
        """A statement of the caller's user."""
        session = self._session(request)
        found = self.world.queries.get(request.path_params.get("id", ""))
        return found if found and session and found.session.user == session.user else None


def build(routes: Routes, admin: list[Route]) -> Starlette:
    return Starlette(
        routes=[
            Route("/session/v1/login-request", routes.login, methods=["POST"]),
            Route("/session", routes.session, methods=["POST"]),
            Route("/session/heartbeat", routes.session, methods=["POST"]),
            Route("/queries/v1/query-request", routes.query, methods=["POST"]),
            Route("/queries/v1/abort-request", routes.abort, methods=["POST"]),
            Route("/queries/{id}/abort-request", routes.abort, methods=["POST"]),
            Route("/queries/{id}/result", routes.result, methods=["GET"]),
            Route("/monitoring/queries/{id}", routes.monitor, methods=["GET"]),
            Route("/telemetry/send", routes.ignore, methods=["POST"]),
            *admin,
        ]
    )


def _spoil(query: Query, fault: Fault) -> None:
    if fault.fault == "error":
        raise SnowflakeError(fault.code, "XX000", fault.message)
    query.session.wait(fault.seconds)


def _bound(bindings: Any) -> Any:
    if not bindings:
        return None
    if any(isinstance(one["value"], list) for one in bindings.values()):
        names = [str(place) for place in range(1, len(bindings) + 1)]
        columns = [[_value(bindings[name], each) for each in bindings[name]["value"]] for name in names]
        return Batch(zip(*columns, strict=True))
    values = {name: _value(one, one["value"]) for name, one in bindings.items()}
    if all(name.isdigit() for name in values):
        return tuple(values[str(place)] for place in range(1, len(values) + 1))
    return values


def _value(binding: dict[str, Any], value: Any) -> Any:
    return None if value is None else from_binding({**binding, "value": value})


def _logged_in(session: Session) -> dict[str, Any]:
    return {
        "token": session.token,
        "masterToken": secrets.token_urlsafe(32),
        "validityInSeconds": 3600,
        "masterValidityInSeconds": 14400,
        "displayUserName": session.user,
        "serverVersion": SERVER_VERSION,
        "sessionId": session.id,
        "parameters": [
            {"name": "AUTOCOMMIT", "value": session.autocommit},
            {"name": "TIMEZONE", "value": "Etc/UTC"},
            {"name": "CLIENT_SESSION_KEEP_ALIVE_HEARTBEAT_FREQUENCY", "value": 3600},
            {"name": "CLIENT_STAGE_ARRAY_BINDING_THRESHOLD", "value": 0},
        ],
        "sessionInfo": {
            "databaseName": session.conn.database,
            "schemaName": session.conn._schema,
            "warehouseName": session.warehouse,
            "roleName": session.role,
        },
    }


def _folded(name: str) -> str:
    return Reader(name).name()[0] if name.startswith('"') else name.upper()


def _failed(error: SnowflakeError, query_id: str = "") -> JSONResponse:
    code = f"{error.code:06d}"
    data = {"errorCode": code, "sqlState": error.state, "queryId": query_id, "internalError": False}
    return JSONResponse({"success": False, "code": code, "message": error.message, "data": data})


def _expired() -> JSONResponse:
    return JSONResponse(
        {"success": False, "code": "390104", "message": "User must login again to access the service.", "data": None}
    )


async def _json(request: Request) -> dict[str, Any]:
    body = await request.body()
    if request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    return json.loads(body) if body else {}
