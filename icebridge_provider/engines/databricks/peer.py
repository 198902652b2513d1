"""What the engine needs of a workspace and of its catalogs: the adapters in ``catalogs/unity`` fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.ports import Catalog

T = TypeVar("T")


class DatabricksWorkspace(Protocol):
    """A workspace and one principal in it. All methods raise :class:`IceBridgeError` only."""

    @property
    def client(self) -> Any:
        """The SDK's ``WorkspaceClient``; wrap every use of it in :meth:`read`."""

    def read(self, what: str, function: Callable[[], T], right: str = "") -> T:
        """Make a call that may safely run twice, up to three times."""

    def get(self, what: str, path: str, query: Mapping[str, Any] | None = None, right: str = "") -> dict[str, Any]:
        """GET a path of the REST interface, retried."""

    def find(
        self, what: str, path: str, query: Mapping[str, Any] | None = None, right: str = ""
    ) -> dict[str, Any] | None:
        """GET a path; None when the workspace knows no such object."""

    def send(self, what: str, method: str, path: str, body: Mapping[str, Any], right: str = "") -> dict[str, Any]:
        """POST, PATCH, PUT or DELETE, once."""


class UnityTables(Catalog, Protocol):
    """A catalog of Unity Catalog."""

    @property
    def is_foreign(self) -> bool:
        """Whether its tables live in another catalog."""

    def parts(self, table: TableIdentifier) -> tuple[str, str, str]:
        """Catalog, schema and table name."""
