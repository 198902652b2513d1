"""What Airflow's servers load: the API of IceBridge."""
