"""The demo on a local Databricks workspace."""
