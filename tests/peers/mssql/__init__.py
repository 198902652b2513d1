"""A SQL Server on PostgreSQL, in its own process; see README.md beside this file."""
