"""The demo's Snowflake account: three tables of a Databricks workspace, shared by append, replace and upsert."""
