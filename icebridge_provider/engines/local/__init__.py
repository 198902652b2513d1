"""The embedded engine: copies Iceberg tables within this process."""
