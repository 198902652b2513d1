"""The engine that is Databricks: one job run on an ephemeral cluster copies many tables."""
