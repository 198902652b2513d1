"""What a connection's properties open, and what they are told when they open nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyiceberg.catalog import load_catalog

from icebridge_provider.catalogs.faults import Attempt, error_for, host_of
from icebridge_provider.catalogs.iceberg import catalog_from
from icebridge_provider.catalogs.native import kind_of
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError
from icebridge_provider.model.identifier import TableIdentifier
from tests.support import tables as shapes

ATTEMPT = Attempt(catalog="c", host="h:1", what="list tables", right="read")


@pytest.mark.parametrize(
    ("properties", "kind"),
    [
        ({"type": "REST", "uri": "http://h"}, "rest"),
        ({"uri": "https://h/api"}, "rest"),
        ({"uri": "postgresql+psycopg2://h/db"}, "sql"),
        ({"uri": "sqlite:////x.db"}, "sql"),
        ({"uri": "thrift://h:9083"}, "hive"),
        ({"type": "glue"}, "glue"),
    ],
)
def test_the_kind_is_told_by_type_or_address(properties: dict[str, str], kind: str) -> None:
    assert kind_of("c", properties) == kind


@pytest.mark.parametrize("properties", [{}, {"type": "nessie"}, {"uri": "ftp://h"}, {"type": "sql"}, {"type": "rest"}])
def test_what_is_no_catalog_is_refused_with_an_example(properties: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        catalog_from("c", properties)
    assert caught.value.code == "IB-203"
    assert '"uri"' in caught.value.remedy


def test_host_never_shows_a_password() -> None:
    assert host_of("postgresql://u:canary@db.example:5432/x") == "db.example:5432"
    assert host_of("sqlite:////data/c.db") == "/data/c.db"


def test_the_only_catalog_in_a_database_is_meant_whatever_the_connection_is_called(tmp_path: Path) -> None:
    shapes.plain(shapes.open_catalog(tmp_path, "their_name"))
    properties = shapes.catalog_properties(tmp_path)
    found = catalog_from("our_conn", properties)
    assert found.tables(("lake",)) == [TableIdentifier(catalog="our_conn", namespace=("lake",), name="plain")]
    shapes.open_catalog(tmp_path, "second")
    with pytest.raises(ConfigurationError) as caught:
        catalog_from("our_conn", properties).namespaces()
    assert caught.value.code == "IB-203"
    assert "second, their_name" in caught.value.message
    chosen = catalog_from("our_conn", {**properties, "catalog-name": "their_name"})
    assert len(chosen.tables(("lake",))) == 1
    assert catalog_from("second", properties).tables(("lake",)) == []


def test_a_read_only_connection_does_not_create_the_tables_of_a_catalog(tmp_path: Path) -> None:
    properties = {"type": "sql", "uri": f"sqlite:///{tmp_path}/new.db", "warehouse": f"file://{tmp_path}"}
    with pytest.raises(IceBridgeError) as caught:
        catalog_from("c", properties, read_only=True).namespaces()
    assert caught.value.code == "IB-203"
    assert "iceberg_tables" not in (tmp_path / "new.db").read_text(errors="ignore")


def test_a_database_in_a_folder_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(TransientError) as caught:
        catalog_from("c", {"type": "sql", "uri": f"sqlite:///{tmp_path}/no/c.db"}).namespaces()
    assert caught.value.code == "IB-201"


def test_views_beside_tables_are_left_out(tmp_path: Path) -> None:
    native = shapes.open_catalog(tmp_path)
    shapes.plain(native)
    with native.engine.begin() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql(
            "INSERT INTO iceberg_tables VALUES ('source', 'lake', 'a_view', 'file:///v.json', NULL, 'VIEW')"
        )
    catalog = catalog_from("source", shapes.catalog_properties(tmp_path))
    assert [table.name for table in catalog.tables(("lake",))] == ["plain"]
    assert catalog.load(TableIdentifier(catalog="source", namespace=("lake",), name="a_view")) is None


def test_compressed_metadata_is_read(tmp_path: Path) -> None:
    import gzip

    native = shapes.open_catalog(tmp_path)
    table = shapes.plain(native)
    path = Path(table.metadata_location.removeprefix("file://"))
    packed = path.with_name("00009-x.gz.metadata.json")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    catalog = catalog_from("source", shapes.catalog_properties(tmp_path))
    ident = TableIdentifier(catalog="source", namespace=("lake",), name="packed")
    catalog.register(ident, f"file://{packed}")
    loaded = catalog.load(ident)
    assert loaded is not None
    assert loaded.metadata["table-uuid"] == str(table.metadata.table_uuid)


class NamedLike(Exception):
    """Stands for a driver that need not be installed: it is told by the name of its class."""


def error_named(name: str, text: str = "because") -> Exception:
    return type(name, (NamedLike,), {})(text)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("UnauthorizedError", "IB-209"), ("OAuthError", "IB-209"), ("NoCredentialsError", "IB-209"),
        ("ForbiddenError", "IB-202"), ("PermissionError", "IB-202"), ("ServiceUnavailableError", "IB-201"),
        ("TooManyRequestsError", "IB-201"), ("TTransportException", "IB-201"), ("EndpointConnectionError", "IB-201"),
        ("ReadTimeout", "IB-201"), ("CommitFailedException", "IB-201"), ("NotInstalledError", "IB-210"),
        ("BadRequestError", "IB-210"), ("Weird", "IB-211"),
    ],
)  # fmt: skip
def test_drivers_errors_get_their_code(name: str, code: str) -> None:
    found = error_for(error_named(name), ATTEMPT)
    assert found.code == code
    assert found.retryable is (code == "IB-201")
    assert "list tables" in found.message or code == "IB-209"


@pytest.mark.parametrize(
    ("aws", "code"),
    [("AccessDeniedException", "IB-202"), ("ThrottlingException", "IB-201"), ("ExpiredTokenException", "IB-209")],
)
def test_aws_errors_are_told_by_their_code(aws: str, code: str) -> None:
    error = NamedLike("An error occurred")
    error.response = {"Error": {"Code": aws}}  # type: ignore[attr-defined]
    assert error_for(error, ATTEMPT).code == code


def test_what_a_driver_says_is_shown_without_credentials_and_cut() -> None:
    error = error_named(
        "ServerError", "cannot reach postgresql://u:canary@h/x?password=canary\nsecond canary line" + "x" * 999
    )
    shown = str(error_for(error, ATTEMPT))
    assert "canary" not in shown
    assert len(shown) < 700


def test_sql_rights_and_schemas_are_told_apart() -> None:
    denied = error_for(
        error_named("ProgrammingError", "(psycopg2.errors.InsufficientPrivilege) permission denied for table"), ATTEMPT
    )
    locked = error_for(error_named("OperationalError", "(sqlite3.OperationalError) database is locked"), ATTEMPT)
    read_only = error_for(error_named("OperationalError", "attempt to write a readonly database"), ATTEMPT)
    absent = error_for(error_named("OperationalError", "no such table: iceberg_tables"), ATTEMPT)
    assert [item.code for item in (denied, locked, read_only, absent)] == ["IB-202", "IB-201", "IB-202", "IB-203"]


def test_pyiceberg_and_we_see_the_same_catalog(tmp_path: Path) -> None:
    ours = catalog_from("same", shapes.catalog_properties(tmp_path))
    ours.create_namespace(("a", "b"))
    theirs = load_catalog("same", **shapes.catalog_properties(tmp_path))
    assert theirs.list_namespaces(("a",)) == [("a", "b")]
