"""SQL Server: read by mssql-python (Arrow) or pymssql, written by pymssql."""
