"""Frozen values: what IceBridge knows, plans and records. No I/O, no drivers."""
