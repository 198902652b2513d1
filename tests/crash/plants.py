"""Planted bugs, to see that the suite catches them."""

from __future__ import annotations


def plant(name: str) -> None:
    """Plant one bug into this process; nothing for an empty name."""
    if name:
        raise SystemExit(f"unknown bug {name}")
