"""Folders for new tables: one of its own for each, whatever its name looks like."""

from __future__ import annotations

import hashlib
import re

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST = 100


def is_path(text: str) -> bool:
    """Say whether a ``warehouse`` is a place for files; for many REST catalogs it is only a name."""
    return text.startswith(("/", "file:")) or "://" in text


def table_folder(base: str, levels: tuple[str, ...], name: str, suffix: str) -> str:
    """Return ``base/levels/name-suffix``, unique to the name: what is not plain gets a digest of the exact spelling.

    Always one folder for the namespace and one for the table, so that no table's folder holds another's.
    """
    parts = [_folder(levels)] if levels else []
    return "/".join([base.rstrip("/"), *parts, f"{_folder((name,))}-{suffix}"])


def _folder(parts: tuple[str, ...]) -> str:
    plain = ".".join(_UNSAFE.sub("_", part) for part in parts)
    if plain == parts[0] and len(plain) <= _LONGEST:
        return plain
    exact = "\x00".join(parts)
    return f"{plain[:_LONGEST]}-{hashlib.sha256(exact.encode()).hexdigest()[:8]}"
