"""Adapters of the Catalog port. They know their driver and nothing of Airflow."""
