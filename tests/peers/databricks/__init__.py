"""A local Databricks workspace, in a process of its own: ``python -m tests.peers.databricks --folder F``.

Unity Catalog with enforced privileges, SQL on real Iceberg tables, jobs that run. DIFFERENCES.md tells where it is not
as the real service is.
"""
