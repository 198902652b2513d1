"""Engines that move and check data."""
