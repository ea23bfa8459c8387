"""The route that was counted for a request."""

from __future__ import annotations

import pytest


@pytest.fixture
def route_of(ask, measured, totals):
    """Ask an application, and return the one route that was counted: ``await route_of(app, "/x", "POST")``."""
    wrapped = {}

    async def asking(app, path, method="GET", **scope):
        app = wrapped.setdefault(id(app), measured(app))
        before = totals("counted")
        await ask(app, path, method, **scope)
        after = totals("counted")
        (route,) = {key[1] for key in after if after[key] != before.get(key)}
        return route

    return asking
