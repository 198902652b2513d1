"""Operators: one step each, for the shipped DAGs and for yours.

Each builds a :class:`icebridge_provider.steps.site.Site` from connections and calls one function of ``steps``.
"""
