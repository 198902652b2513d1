"""What Databricks has billed, in Databricks SQL. Values are bound, never written into a statement.

Sources: Databricks' reference of the billable usage and pricing system tables. A correction is not an update: the old
record comes again with its quantity negated (``RETRACTION``) and the right one comes beside it (``RESTATEMENT``), so
the sum over all records is what was used, whenever it is asked for. A price holds from its start to before its end.
Quantity and price are cut to 12 and 8 decimals first: at their full width SQL would round the product to six.
"""

from __future__ import annotations

PLAN_TAG, RUN_TAG, WAVE_TAG = "icebridge_plan", "icebridge_run", "icebridge_wave"
COST_CENTER_TAG = "cost_center"


def usage_of_plans() -> str:
    """DBUs and their list price by run of the plans ``:plans`` (tags, with commas between) since the day ``:since``.

    Prices are those in ``:currency``; ``unpriced`` counts the records that have none in it. A day bounds what is read.
    """
    return f"""
SELECT
  u.custom_tags['{PLAN_TAG}'] AS plan,
  CAST(u.usage_metadata.job_run_id AS STRING) AS run_id,
  CAST(max(u.product_features.is_photon) AS STRING) AS photon,
  CAST(sum(u.usage_quantity) AS STRING) AS dbus,
  CAST(sum(CAST(u.usage_quantity AS DECIMAL(22, 12)) * p.price) AS STRING) AS cost,
  CAST(sum(CASE WHEN p.price IS NULL THEN 1 ELSE 0 END) AS STRING) AS unpriced,
  CAST(count(*) AS STRING) AS records,
  date_format(max(u.usage_end_time), "yyyy-MM-dd'T'HH:mm:ss'Z'") AS until
FROM `system`.`billing`.`usage` AS u
LEFT JOIN (
  SELECT
    sku_name, cloud, usage_unit, price_start_time, price_end_time,
    CAST(coalesce(pricing.effective_list.default, pricing.default) AS DECIMAL(12, 8)) AS price
  FROM `system`.`billing`.`list_prices`
  WHERE currency_code = :currency
) AS p
  ON u.sku_name = p.sku_name AND u.cloud = p.cloud AND u.usage_unit = p.usage_unit
  AND u.usage_end_time >= p.price_start_time
  AND (p.price_end_time IS NULL OR u.usage_end_time < p.price_end_time)
WHERE u.usage_date >= CAST(:since AS DATE)
  AND u.usage_unit = 'DBU'
  AND array_contains(split(:plans, ','), u.custom_tags['{PLAN_TAG}'])
GROUP BY u.custom_tags['{PLAN_TAG}'], u.usage_metadata.job_run_id
""".strip()  # noqa: S608 - the tags are constants
