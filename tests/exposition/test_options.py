"""Options that make no sense are refused at once, by an error that names the option."""

from __future__ import annotations

from math import inf, nan

import prometheus_client
import pytest

from asyncmetrics.errors import DefinitionError
from asyncmetrics.exposition import make_asgi_app, make_wsgi_app, start_http_server

NO_LIMITS = [0, -1, nan, inf, True, 2.5, "8", None]
NO_SECONDS = [0, -1.0, nan, inf, 10**400, True, "8", None]


@pytest.mark.parametrize(
    "expose", [make_asgi_app, make_wsgi_app, lambda registry: start_http_server(0, registry=registry)]
)
@pytest.mark.parametrize("registry", [prometheus_client.REGISTRY, None, "x"])
def test_what_is_no_registry_of_ours_is_refused(expose, registry):
    with pytest.raises(DefinitionError, match="^registry: expected a CollectorRegistry of asyncmetrics, got "):
        expose(registry)


def test_the_error_about_a_registry_of_prometheus_client_names_the_bridge():
    with pytest.raises(DefinitionError, match="PrometheusClientCollector"):
        make_asgi_app(prometheus_client.REGISTRY)


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in ("max_concurrent", "max_connections") for value in NO_LIMITS]
    + [(name, value) for name in ("timeout_seconds", "keep_alive_seconds") for value in NO_SECONDS]
    + [("port", value) for value in ("8000", None, 1.5, True, -1, 65536)]
    + [("addr", value) for value in (None, 0, b"127.0.0.1")]
    + [("uds", value) for value in (0, True, b"metrics.sock")],
)
def test_the_server_names_the_option_that_makes_no_sense(registry, name, value):
    with pytest.raises(DefinitionError, match=f"^{name}: expected "):
        start_http_server(registry=registry, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_concurrent", value) for value in NO_LIMITS] + [("timeout_seconds", value) for value in NO_SECONDS],
)
def test_the_application_names_the_option_that_makes_no_sense(registry, name, value):
    with pytest.raises(DefinitionError, match=f"^{name}: expected "):
        make_asgi_app(registry, **{name: value})


@pytest.mark.parametrize("value", [1, 10**6])
def test_any_limit_from_1_on_is_taken(registry, value):
    make_asgi_app(registry, max_concurrent=value)


@pytest.mark.parametrize("value", [0.001, 1, 1e300])
def test_any_finite_time_is_taken(registry, value):
    make_asgi_app(registry, timeout_seconds=value)
