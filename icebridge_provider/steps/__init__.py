"""One function a step: read by an adapter, decide by a pure function, run by an adapter, append to the ledger.

Operators, CLI and crash tests all call these; nothing here imports Airflow.
"""
