"""Files of storage systems: local folders and object stores."""
