"""Unity Catalog of a Databricks workspace: its tables as a catalog, its privileges, its SQL."""
