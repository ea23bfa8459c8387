"""A server that has only the metrics of the processes with the same ASYNCMETRICS_DIR."""

from asyncmetrics import make_asgi_app

app = make_asgi_app()
