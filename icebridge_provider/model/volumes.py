"""Paths of Unity Catalog's volumes."""

from __future__ import annotations


def volume_of(location: str) -> tuple[str, ...]:
    """Return catalog, schema and volume of ``/Volumes/catalog/schema/volume[/…]``; nothing for any other path.

    A path with empty, ``.`` or ``..`` parts or control characters is none: it could name a file of another volume.
    """
    parts = location.rstrip("/").split("/")
    if len(parts) < 5 or parts[:2] != ["", "Volumes"]:
        return ()
    inside = parts[2:]
    if any(part in {"", ".", ".."} or any(ord(letter) < 32 for letter in part) for part in inside):
        return ()
    return tuple(inside[:3])
