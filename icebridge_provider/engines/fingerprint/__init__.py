"""Fingerprints of table content (docs/fingerprint.md), read independently of the copying engine."""
