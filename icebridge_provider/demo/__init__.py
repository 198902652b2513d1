"""The demo: a foreign lake of real data, migrated by real Airflow on this machine (``icebridge demo``)."""
