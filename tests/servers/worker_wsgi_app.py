"""What `worker_app` does, as a WSGI application."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from worker_app import answered, serving, sizes

from asyncmetrics import make_wsgi_app

expose = make_wsgi_app()


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Serve ``/metrics`` and ``/items/<number>``."""
    if environ["PATH_INFO"] == "/metrics":
        return expose(environ, start_response)
    number = int(environ["PATH_INFO"].rpartition("/")[2])
    serving.set(1)
    sizes.observe(number)
    answered.labels(str(number % 50)).inc()
    body = str(os.getpid()).encode()
    start_response("200 OK", [("content-type", "text/plain"), ("content-length", str(len(body)))])
    return [body]
