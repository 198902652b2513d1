"""Kills processes at every side effect, runs them again, and looks whether what must always hold still holds."""
