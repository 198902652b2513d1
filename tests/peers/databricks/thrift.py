"""SQL over thrift, ``POST /sql/1.0/warehouses/<id>``: what databricks-sql-connector (and Airflow's SQL hook) speaks."""

# ruff: noqa: N802 - the protocol's names

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from typing import Any

from databricks.sql.thrift_api.TCLIService import TCLIService, ttypes
from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TTransport import TMemoryBuffer

from tests.peers.databricks.auth import caller
from tests.peers.databricks.errors import ApiError
from tests.peers.databricks.sql_errors import SqlError
from tests.peers.databricks.sql_result import Result, of
from tests.peers.databricks.statement_model import Statement
from tests.peers.databricks.statements import Statements, statements_of, typed
from tests.peers.databricks.uc_api import principal_of
from tests.peers.databricks.world import World

PROTOCOL = ttypes.TProtocolVersion.SPARK_CLI_SERVICE_PROTOCOL_V7
DIRECT_SECONDS = 5
_OK = ttypes.TStatus(statusCode=ttypes.TStatusCode.SUCCESS_STATUS)
_STATES = {
    "PENDING": ttypes.TOperationState.PENDING_STATE,
    "RUNNING": ttypes.TOperationState.RUNNING_STATE,
    "SUCCEEDED": ttypes.TOperationState.FINISHED_STATE,
    "FAILED": ttypes.TOperationState.ERROR_STATE,
    "CANCELED": ttypes.TOperationState.CANCELED_STATE,
}
_TYPES = {"VOID": "NULL", "TIMESTAMP_NTZ": "TIMESTAMP"}


@dataclass
class Session:
    """A connection of a client."""

    principal: str
    catalog: str | None = None
    schema: str | None = None


@dataclass
class Operation:
    """A statement of a session, its result, and how much of it was fetched."""

    session: Session
    statement: Statement
    result: Result = field(default_factory=Result)
    fetched: int = 0


class Server:
    """The state of all connections to one workspace."""

    def __init__(self, statements: Statements) -> None:
        self.statements = statements
        self.sessions: dict[bytes, Session] = {}
        self.operations: dict[bytes, Operation] = {}


@dataclass
class Calls:
    """The service, for one request of one principal; methods have the names of the protocol."""

    server: Server
    principal: str
    warehouse_id: str

    # Sessions

    def OpenSession(self, request: Any) -> Any:
        place = request.initialNamespace or ttypes.TNamespace()
        handle = _handle()
        self.server.sessions[handle.guid] = Session(self.principal, place.catalogName, place.schemaName)
        return ttypes.TOpenSessionResp(
            status=_OK,
            serverProtocolVersion=PROTOCOL,
            sessionHandle=ttypes.TSessionHandle(sessionId=handle, serverProtocolVersion=PROTOCOL),
            initialNamespace=request.initialNamespace,
            canUseMultipleCatalogs=True,
            configuration=request.configuration,
        )

    def CloseSession(self, request: Any) -> Any:
        self.server.sessions.pop(request.sessionHandle.sessionId.guid, None)
        return ttypes.TCloseSessionResp(status=_OK)

    def _session(self, request: Any) -> Session:
        found = self.server.sessions.get(request.sessionHandle.sessionId.guid)
        if found is None or found.principal != self.principal:
            raise LookupError("Invalid SessionHandle")
        return found

    # Statements

    def ExecuteStatement(self, request: Any) -> Any:
        session = self._session(request)
        tags = _tags((request.confOverlay or {}).get("query_tags", ""))
        given = typed(_parameters(request.parameters))
        values: Any = list(given.values()) if any(one.name is None for one in request.parameters or ()) else given
        body = {"statement": request.statement, "warehouse_id": self.warehouse_id, "query_tags": tags}
        operation = self._begun(session, body)
        threading.Thread(target=self._run, args=(operation, values), daemon=True).start()
        return self._answer(ttypes.TExecuteStatementResp, request, operation)

    def _begun(self, session: Session, body: dict[str, Any]) -> Operation:
        statement = Statement(principal=self.principal, body=body, state="RUNNING", user_agent="thrift")
        self.server.statements.known[statement.id] = statement
        operation = Operation(session, statement)
        self.server.operations[uuid.UUID(statement.id).bytes] = operation
        return operation

    def _run(self, operation: Operation, values: Any) -> None:
        session, made = operation.session, operation.statement
        try:
            where = session.catalog, session.schema
            gateway = self.server.statements.gateway
            operation.result = gateway.run(self.principal, made.body["statement"], values, *where, tag=made.id)
            session.catalog, session.schema = operation.result.session
            made.finish("SUCCEEDED")
        except SqlError as error:
            made.fail("BAD_REQUEST", str(error), error.sqlstate)
        except Exception as error:  # noqa: BLE001 - whatever went wrong is the statement's ending
            made.fail("INTERNAL_ERROR", f"{type(error).__name__}: {error}")

    def _answer(self, shape: Any, request: Any, operation: Operation) -> Any:
        handle = ttypes.TOperationHandle(
            operationId=_handle(uuid.UUID(operation.statement.id).bytes),
            operationType=ttypes.TOperationType.EXECUTE_STATEMENT,
            hasResultSet=True,
        )
        answer = shape(status=_OK, operationHandle=handle)
        if request.getDirectResults is None:
            return answer
        operation.statement.over.wait(DIRECT_SECONDS)
        direct = ttypes.TSparkDirectResults(operationStatus=self._status(operation))
        if operation.statement.state == "SUCCEEDED":
            direct.resultSetMetadata = _metadata(operation)
            direct.resultSet = _rows(operation, request.getDirectResults.maxRows)
        answer.directResults = direct
        return answer

    def _status(self, operation: Operation) -> Any:
        made = operation.statement
        text = made.error["message"] if made.error else None
        return ttypes.TGetOperationStatusResp(
            status=_OK, operationState=_STATES[made.state], errorMessage=text, displayMessage=text,
            sqlState=made.sqlstate or None, hasResultSet=True,
        )  # fmt: skip

    def _operation(self, request: Any) -> Operation:
        found = self.server.operations.get(request.operationHandle.operationId.guid)
        if found is None or found.session.principal != self.principal:
            raise LookupError("Invalid OperationHandle")
        return found

    def GetOperationStatus(self, request: Any) -> Any:
        operation = self._operation(request)
        operation.statement.over.wait(1)
        return self._status(operation)

    def GetResultSetMetadata(self, request: Any) -> Any:
        return _metadata(self._operation(request))

    def FetchResults(self, request: Any) -> Any:
        operation = self._operation(request)
        answer = _rows(operation, request.maxRows)
        answer.resultSetMetadata = _metadata(operation) if request.includeResultSetMetadata else None
        return answer

    def CancelOperation(self, request: Any) -> Any:
        self.server.statements._cancel(self._operation(request).statement)
        return ttypes.TCancelOperationResp(status=_OK)

    def CloseOperation(self, request: Any) -> Any:
        self.server.operations.pop(request.operationHandle.operationId.guid, None)
        return ttypes.TCloseOperationResp(status=_OK)

    # Metadata

    def GetCatalogs(self, request: Any) -> Any:
        world = self.server.statements.world
        rows = [(n,) for n in sorted(world.state.catalogs) if world.sees(self.principal, "CATALOG", n, browse=True)]
        return self._given(ttypes.TGetCatalogsResp, request, "SHOW CATALOGS", of(rows, TABLE_CAT="STRING"))

    def GetSchemas(self, request: Any) -> Any:
        world, wanted = self.server.statements.world, (request.catalogName or "").lower()
        rows = [
            (row.name, row.catalog)
            for row in list(world.state.schemas.values())
            if wanted in {"", row.catalog} and world.sees(self.principal, "SCHEMA", row.full_name, browse=True)
        ]
        result = of(sorted(rows), TABLE_SCHEM="STRING", TABLE_CATALOG="STRING")
        return self._given(ttypes.TGetSchemasResp, request, "SHOW SCHEMAS", result)

    def GetTables(self, request: Any) -> Any:
        world, wanted = self.server.statements.world, (request.schemaName or "").lower()
        rows = [
            (row.catalog, row.schema, row.name, row.table_type, row.comment or None)
            for row in world.tables_seen(self.principal, (request.catalogName or "").lower(), browse=True)
            if wanted in {"", "%", row.schema}
        ]
        names = ("TABLE_CAT", "TABLE_SCHEM", "TABLE_NAME", "TABLE_TYPE", "REMARKS")
        return self._given(ttypes.TGetTablesResp, request, "SHOW TABLES", of(rows, **dict.fromkeys(names, "STRING")))

    def _given(self, shape: Any, request: Any, text: str, result: Result) -> Any:
        operation = self._begun(self._session(request), {"statement": text, "warehouse_id": self.warehouse_id})
        operation.result = result
        operation.statement.finish("SUCCEEDED")
        return self._answer(shape, request, operation)


def router(world: World) -> APIRouter:
    """The route."""
    server, routes = Server(statements_of(world)), APIRouter()

    async def serve(request: Request, warehouse_id: str) -> Response:
        if warehouse_id not in world.state.warehouses:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"SQL warehouse {warehouse_id} does not exist.")
        calls = Calls(server, principal_of(request), warehouse_id)
        answer = await run_in_threadpool(_processed, calls, await request.body())
        return Response(answer, media_type="application/x-thrift")

    path = "/sql/1.0/warehouses/{warehouse_id}"
    routes.add_api_route(path, serve, methods=["POST"], dependencies=[Depends(caller(world))], response_model=None)
    return routes


def _processed(calls: Calls, body: bytes) -> bytes:
    into, out = TMemoryBuffer(body), TMemoryBuffer()
    TCLIService.Processor(calls).process(TBinaryProtocol(into), TBinaryProtocol(out))
    return bytes(out.getvalue())


def _handle(guid: bytes = b"") -> Any:
    return ttypes.THandleIdentifier(guid=guid or uuid.uuid4().bytes, secret=uuid.uuid4().bytes)


def _tags(text: str) -> list[dict[str, str]]:
    """``key:value,key`` as the connector writes query tags."""
    pairs = [one.partition(":") for one in text.split(",") if one]
    return [{"key": key, "value": value} for key, _, value in pairs]


def _parameters(given: Any) -> list[dict[str, Any]]:
    return [
        {"name": one.name or str(place), "type": one.type or "STRING", "value": one.value and one.value.stringValue}
        for place, one in enumerate(given or ())
    ]


def _metadata(operation: Operation) -> Any:
    columns = [_column(place, name, kind) for place, (name, kind) in enumerate(operation.result.columns)]
    return ttypes.TGetResultSetMetadataResp(
        status=_OK,
        schema=ttypes.TTableSchema(columns=columns),
        resultFormat=ttypes.TSparkRowSetType.ARROW_BASED_SET,
        lz4Compressed=False,
        arrowSchema=_plain(operation).schema.serialize().to_pybytes(),
        isStagingOperation=False,
    )


def _column(place: int, name: str, kind: str) -> Any:
    base, _, detail = kind.replace("(", "<").partition("<")
    entry = ttypes.TPrimitiveTypeEntry(type=ttypes.TTypeId._NAMES_TO_VALUES[f"{_TYPES.get(base, base)}_TYPE"])
    if base == "DECIMAL":
        numbers = zip(("precision", "scale"), detail.rstrip(">)").split(","), strict=True)
        values = {key: ttypes.TTypeQualifierValue(i32Value=int(number)) for key, number in numbers}
        entry.typeQualifiers = ttypes.TTypeQualifiers(qualifiers=values)
    types = ttypes.TTypeDesc(types=[ttypes.TTypeEntry(primitiveEntry=entry)])
    return ttypes.TColumnDesc(columnName=name, typeDesc=types, position=place + 1)


def _plain(operation: Operation) -> Any:
    """The rows without the metadata that is for programs of runs."""
    return operation.result.arrow().replace_schema_metadata(None)


def _rows(operation: Operation, most: int) -> Any:
    """The next rows; each batch is a message of an Arrow stream."""
    table = _plain(operation)
    found = table.slice(operation.fetched, most)
    start = operation.fetched
    operation.fetched += found.num_rows
    batches = [
        ttypes.TSparkArrowBatch(batch=one.serialize().to_pybytes(), rowCount=one.num_rows)
        for one in found.combine_chunks().to_batches()
        if one.num_rows
    ]
    return ttypes.TFetchResultsResp(
        status=_OK,
        hasMoreRows=operation.fetched < table.num_rows,
        results=ttypes.TRowSet(startRowOffset=start, rows=[], arrowBatches=batches),
    )
