"""What is told of loaded tables: asset events, and datasets for OpenLineage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import Asset, AssetAlias

from icebridge_provider.operators.lineage import Dataset, Moved
from icebridge_provider.operators.tables import ALIAS

if TYPE_CHECKING:
    from airflow.sdk import Context

    from icebridge_provider.model.share import Share, ShareResult


def tell_assets(target_conn_id: str, share: Share, done: ShareResult, context: Context) -> None:
    """Emit an event for the table; a load that was found done tells it again, for its first task may not have."""
    extra: dict[str, Any] = {
        "run_id": share.run_id,
        "source": ".".join(share.source),
        "mode": share.mode.value,
        "rows": done.rows,
        "again": done.again,
        "limited": done.limited,
    }
    asset = Asset(name=".".join(share.place.target), uri=asset_uri(target_conn_id, share.place.target))
    context["outlet_events"][AssetAlias(ALIAS)].add(asset, extra=extra)


def asset_uri(target_conn_id: str, target: Sequence[str]) -> str:
    """Return the URI of a Snowflake table as an Airflow asset: ``icebridge://<connection>/<database>/<schema>/<table>``."""
    return "icebridge://" + "/".join(quote(part, safe="") for part in (target_conn_id, *target))


def moved_by(source_conn_id: str, target_conn_id: str, share: Share, done: ShareResult) -> list[Moved]:
    """Return what a load moved; names as Airflow's own operators of Databricks and Snowflake give them."""
    from icebridge_provider.hooks.share import account_of, workspace

    host, account = workspace(source_conn_id).host, _fixed(account_of(target_conn_id))
    return [
        Moved(
            source=Dataset(namespace=f"databricks://{host}", name=".".join(share.source)),
            target=Dataset(namespace=f"snowflake://{account}", name=".".join(share.place.target)),
            rows=done.rows,
            bytes=done.bytes,
        )
    ]


def _fixed(account: str) -> str:
    try:
        from airflow.providers.snowflake.utils.openlineage import fix_account_name
    except ImportError:
        return account
    return str(fix_account_name(account))
