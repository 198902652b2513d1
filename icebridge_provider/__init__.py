"""IceBridge: an Airflow provider that moves tables between data platforms and proves that nothing was lost."""

__version__ = "0.1.0"
