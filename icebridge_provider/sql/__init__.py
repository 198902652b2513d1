"""Every statement that IceBridge generates, one function a statement; ``identifiers.py`` is the only quoting."""
