"""`namespace=` prefixes the names of everything that a middleware declares."""

from __future__ import annotations

import pytest

from asyncmetrics import MetricsMiddleware
from asyncmetrics.errors import DefinitionError


async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})


OPTIONS = {"first_byte": True, "body_sizes": True, "background": True, "client_totals": True}


async def test_every_family_has_the_prefix(registry, ask, connect):
    measured = MetricsMiddleware(app, registry=registry, namespace="shop", **OPTIONS)
    await ask(measured)
    await connect(measured)
    names = {family.name for family in registry.collect()}
    assert {name for name in names if not name.startswith(("shop_http_server_", "shop_websocket_server_"))} == set()
    assert {"shop_http_server_active_requests", "shop_websocket_server_active_connections"} <= names


async def test_two_namespaces_share_a_registry_and_nothing_else(registry, ask):
    for namespace in ("shop", "till"):
        await ask(MetricsMiddleware(app, registry=registry, namespace=namespace))
    labels = {"method": "GET", "route": "<unmatched>", "status": "200"}
    name = "{}_http_server_request_duration_seconds_count"
    assert [registry.get_sample_value(name.format(prefix), labels) for prefix in ("shop", "till")] == [1, 1]


async def test_active_requests_are_those_of_the_namespace(registry, ask):
    seen = []

    async def look(scope, receive, send):
        labels = {"method": "GET", "route": "<pending>"}
        names = [f"{prefix}_http_server_active_requests" for prefix in ("shop", "till")]
        seen.extend(registry.get_sample_value(name, labels) for name in names)
        await app(scope, receive, send)

    MetricsMiddleware(app, registry=registry, namespace="till")
    await ask(MetricsMiddleware(look, registry=registry, namespace="shop"))
    assert seen == [1, None]


def test_buckets_have_the_names_without_the_prefix(registry):
    name = "http_server_request_duration_seconds"
    MetricsMiddleware(app, registry=registry, namespace="shop", buckets={name: [1]})
    with pytest.raises(DefinitionError, match="shop_"):
        MetricsMiddleware(app, registry=registry, namespace="shop", buckets={f"shop_{name}": [1]})


@pytest.mark.parametrize("namespace", [7, "my shop", "1st", None])
def test_a_namespace_that_no_name_can_begin_with_is_refused(namespace, registry):
    with pytest.raises(DefinitionError, match="namespace: expected letters"):
        MetricsMiddleware(app, registry=registry, namespace=namespace)
    assert list(registry.collect()) == []
