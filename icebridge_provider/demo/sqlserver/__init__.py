"""The demo's SQL Server: three countries' databases, extracted to a Volume and written back to by events."""
