"""prometheus_client, in a process that has this directory in its PYTHONPATH: `asyncmetrics.prometheus_client`."""

from asyncmetrics.prometheus_client import install

__asyncmetrics__ = True  # `install` finds this module in the place of the library
install()
