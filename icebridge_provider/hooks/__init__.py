"""Airflow connections and settings, turned into what the steps work with."""
