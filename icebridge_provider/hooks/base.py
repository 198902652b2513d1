"""What the hooks of all kinds of catalogs share."""

from __future__ import annotations

from abc import abstractmethod

from airflow.sdk.bases.hook import BaseHook

from icebridge_provider.ports import Catalog


class CatalogHook(BaseHook):
    """Opens the catalog behind a connection.

    :param conn_id: the connection.
    """

    conn_name_attr = "conn_id"

    def __init__(self, conn_id: str) -> None:
        super().__init__()
        self.conn_id = conn_id

    @abstractmethod
    def catalog(self) -> Catalog:
        """Return the catalog; nothing is asked of it yet."""

    def get_conn(self) -> Catalog:
        """Return the catalog, as every Airflow hook returns its client."""
        return self.catalog()

    def test_connection(self) -> tuple[bool, str]:
        """Answer Airflow's test button: try every right that a migration takes, as ``check-connection`` does."""
        from icebridge_provider.catalogs.check import check_connection

        try:
            rows = check_connection(self.catalog())
        except Exception as error:  # noqa: BLE001 - whatever it is, the button shows it
            return False, str(error)
        failed = [row for row in rows if row["outcome"] == "failed"]
        return not failed, "; ".join(f"{row['message']} {row['remedy']}" for row in failed) or "All rights are there."
