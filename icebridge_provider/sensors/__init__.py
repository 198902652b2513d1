"""Sensors: wait for something to happen to a table."""
