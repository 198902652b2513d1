"""The config section ``[icebridge]`` as :class:`Settings`."""

from __future__ import annotations

from dataclasses import fields

from icebridge_provider.model.settings import Settings

SECTION = "icebridge"


def settings() -> Settings:
    """Return the options in force: environment, ``airflow.cfg``, then defaults.

    :raises ConfigurationError: IB-101 naming an option that cannot be read.
    """
    from airflow.configuration import conf

    given = {item.name: conf.get(SECTION, item.name, fallback=None) for item in fields(Settings)}
    return Settings.read({name: value for name, value in given.items() if value is not None})
