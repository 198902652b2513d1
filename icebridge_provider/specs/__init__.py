"""The files people write: read strictly, with file, line and column in every complaint."""
