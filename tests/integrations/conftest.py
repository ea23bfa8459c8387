"""Ask an application of any framework over ASGI, and read what was counted for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from asyncmetrics import CollectorRegistry

try:
    from django.conf import settings
except ImportError:  # its tests skip themselves
    pass
else:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={},
        INSTALLED_APPS=["django.contrib.staticfiles"],
        LOGGING_CONFIG=None,
        SECRET_KEY="test",
        STATIC_URL="/static/",
        USE_I18N=False,
        USE_TZ=True,
    )


@pytest.fixture
def ask() -> Callable[..., Awaitable[httpx.Response]]:
    """Send one request: ``response = await ask(app, "/path", "GET", root_path="/proxied")``."""

    async def asking(app: Any, path: str, method: str = "GET", *, root_path: str = "", **request: Any):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, root_path=root_path)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as client:
            return await client.request(method, path, **request)

    return asking


@pytest.fixture
def samples(registry: CollectorRegistry) -> Callable[..., dict[Any, float]]:
    """Read the samples of one name as a dict from the values of some labels."""

    def read(name: str, *labels: str) -> dict[Any, float]:
        found = [s for family in registry.collect() for s in family.samples if s.name == name]
        return {tuple(s.labels[label] for label in labels): s.value for s in found}

    return read


@pytest.fixture
def counted(samples: Callable[..., dict[Any, float]]) -> Callable[[], dict[tuple[str, str, str], float]]:
    """Read how many requests were counted, by method, route and status."""
    return lambda: samples("http_server_request_duration_seconds_count", "method", "route", "status")


@pytest.fixture
def seen(ask: Callable[..., Any], counted: Callable[..., Any]) -> Callable[..., Awaitable[tuple[str, str]]]:
    """Ask an application for a path, and give the one route and status that were counted for it."""

    async def look(app: Any, path: str, method: str = "GET", **request: Any) -> tuple[str, str]:
        before = counted()
        await ask(app, path, method, **request)
        after = counted()
        ((_, route, status),) = {key for key in after if after[key] != before.get(key)}
        return route, status

    return look
