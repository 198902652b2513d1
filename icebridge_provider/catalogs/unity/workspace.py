"""One Databricks workspace over databricks-sdk: who we are there, and how calls are made, retried and explained.

For engines: ``workspace.client`` is the SDK's own ``WorkspaceClient`` (jobs, files, …). Wrap every use of it:

* ``workspace.call("submit a run", lambda: workspace.client.jobs.submit(…), right="…")`` makes it once. Use it for
  changes: after a lost answer look for the effect (an ``idempotency_token``, a file) before calling again.
* ``workspace.read("get run 5", lambda: workspace.client.jobs.get_run(5))`` makes it up to three times. Use it for
  reads, and for changes that may safely run twice.

A token of a service principal that is refused is renewed once: what was asked with it was not done.

Both raise :class:`IceBridgeError` only (``catalogs/unity/faults.py``). The SDK's own retries are off: it sends even a
POST again after a lost connection, which would run a statement twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from icebridge_provider import __version__
from icebridge_provider.catalogs.faults import Attempt, host_of
from icebridge_provider.catalogs.unity.faults import error_for, not_installed
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.retry import transient

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

    from icebridge_provider.catalogs.unity.renewal import Renewable

T = TypeVar("T")
HTTP_SECONDS = 60.0
DISCOVERY_SECONDS = 5  # what the SDK may spend on asking a host that does not answer what it is
UNITY = "/api/2.1/unity-catalog"
ICEBERG_REST = f"{UNITY}/iceberg-rest"
_LOGIN_REFUSED = frozenset({"IB-242", "IB-209"})  # of the REST interface, of its Iceberg REST endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How to sign in: a personal access token, or a service principal's client id and secret (OAuth M2M)."""

    token: str = field(default="", repr=False)
    client_id: str = ""
    client_secret: str = field(default="", repr=False)

    @property
    def kind(self) -> str:
        """The SDK's name of this way to sign in; naming it keeps the environment's own variables out."""
        return "oauth-m2m" if self.client_id else "pat"


class Workspace:
    """A workspace and one principal in it. Connects at the first use; safe for several threads.

    :param name: connection id, for messages.
    :param host: ``https://…``, without a path.
    """

    def __init__(self, name: str, host: str, login: Login) -> None:
        self.name = name
        self.url = host.rstrip("/")
        self.host = host_of(self.url)
        self._login = login
        self._lock = threading.Lock()
        self._renewable: Renewable | None = None

    def __repr__(self) -> str:
        return f"Workspace({self.name!r} at {self.host})"

    @property
    def client(self) -> WorkspaceClient:
        """The SDK's client, made at the first use; wrap every use of it in :meth:`call` or :meth:`read`."""
        with self._lock:
            return self._client

    @cached_property
    def _client(self) -> WorkspaceClient:
        try:
            from databricks.sdk import WorkspaceClient
            from databricks.sdk.config import Config

            from icebridge_provider.catalogs.unity.clock import NoWaiting
            from icebridge_provider.catalogs.unity.renewal import Renewable
        except ImportError as error:
            raise not_installed(error) from None
        login = self._login
        attempt = self._attempt("sign in", "sign in to the workspace")
        self._renewable = Renewable() if login.client_id else None
        try:
            config = Config(
                host=self.url,
                auth_type=login.kind,
                token=login.token or None,
                client_id=login.client_id or None,
                client_secret=login.client_secret or None,
                product="icebridge",
                product_version=__version__,
                http_timeout_seconds=HTTP_SECONDS,
                retry_timeout_seconds=DISCOVERY_SECONDS,
                clock=NoWaiting(),
                credentials_strategy=self._renewable,
            )
        except Exception as error:  # noqa: BLE001 - the SDK raises anything
            raise error_for(error, attempt) from None
        return WorkspaceClient(config=config)

    def renew(self) -> bool:
        """Throw the token away that the workspace refuses; False for one that cannot be had anew.

        :raises IceBridgeError: when the workspace cannot be signed in to.
        """
        if self._renewable is None:
            return False
        try:
            self._renewable.renew()
        except Exception as error:  # noqa: BLE001 - the SDK raises anything
            raise error_for(error, self._attempt("sign in", "sign in to the workspace")) from None
        return True

    def headers(self) -> dict[str, str]:
        """Fresh authentication headers, for clients of their own such as pyiceberg's. Never log or keep them."""
        attempt = self._attempt("sign in", "sign in to the workspace")
        try:
            return dict(self.client.config.authenticate())
        except Exception as error:  # noqa: BLE001 - the SDK raises anything
            raise error_for(error, attempt) from None

    # Calls

    def call(self, what: str, function: Callable[[], T], right: str = "") -> T:
        """Make one call, once.

        :param what: the attempt in words that follow "to": ``submit a run``.
        :param right: what the principal needs for it: ``CAN MANAGE RUN on job 5``.
        :raises IceBridgeError: IB-240 when it may succeed later (its outcome is then unknown), IB-241 to IB-244.
        """
        return self.renewing(lambda: self._once(what, function, right))

    def renewing(self, call: Callable[[], T]) -> T:
        """Call, and once more with a new token if the workspace refuses the one we have; nothing was done with that."""
        try:
            return call()
        except ConfigurationError as error:
            if error.code not in _LOGIN_REFUSED or not self.renew():
                raise
        return call()

    def _once(self, what: str, function: Callable[[], T], right: str) -> T:
        try:
            return function()
        except IceBridgeError:
            raise
        except Exception as error:  # noqa: BLE001 - the SDK raises anything
            raise error_for(error, self._attempt(what, right)) from None

    def read(self, what: str, function: Callable[[], T], right: str = "") -> T:
        """Make one call up to three times; only for what may safely run twice.

        :raises IceBridgeError: as :meth:`call`.
        """
        return transient(lambda: self.call(what, function, right))

    # JSON as the workspace sends it: the SDK's classes silently drop values that are newer than the SDK

    def get(self, what: str, path: str, query: Mapping[str, Any] | None = None, right: str = "") -> dict[str, Any]:
        """GET a path of the workspace's REST interface, retried."""
        return self.read(what, lambda: self._json("GET", path, query=dict(query or {})), right)

    def find(
        self, what: str, path: str, query: Mapping[str, Any] | None = None, right: str = ""
    ) -> dict[str, Any] | None:
        """GET a path; None when the workspace knows no such object."""
        try:
            return self.get(what, path, query, right)
        except IceBridgeError as error:
            if error.code == "IB-243":
                return None
            raise

    def pages(
        self, what: str, path: str, key: str, query: Mapping[str, Any] | None = None, right: str = ""
    ) -> Iterator[dict[str, Any]]:
        """Items of a list that comes in pages; a page may be empty and not the last."""
        asked = {"max_results": 0, **(query or {})}  # 0: pages as large as the server likes
        while True:
            page = self.get(what, path, asked, right)
            yield from page.get(key) or ()
            if not page.get("next_page_token"):
                return
            asked["page_token"] = page["next_page_token"]

    def send(self, what: str, method: str, path: str, body: Mapping[str, Any], right: str = "") -> dict[str, Any]:
        """POST, PATCH, PUT or DELETE, once."""
        return self.call(what, lambda: self._json(method, path, body=dict(body)), right)

    def _json(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        found = self.client.api_client.do(method, path, headers={"Accept": "application/json"}, **given)
        return dict(found) if isinstance(found, dict) else {}

    def _attempt(self, what: str, right: str) -> Attempt:
        return Attempt(catalog=self.name, host=self.host, what=what, right=right)


def in_path(name: str) -> str:
    """Return a name as one segment of a path."""
    return quote(name, safe="")
