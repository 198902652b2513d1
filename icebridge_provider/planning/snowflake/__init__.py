"""Databricks to Snowflake, decided: names, types, manifests, load plans, gates and routes. No I/O."""
