"""Dashboards of texts and registries, and their expressions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from asyncmetrics import CollectorRegistry
from asyncmetrics.bridges.scraping import Exposition
from asyncmetrics.dashboards.declared import Declared, read_declared
from asyncmetrics.dashboards.grafana import make_grafana_dashboard


@pytest.fixture
def registry() -> CollectorRegistry:
    """An empty registry."""
    return CollectorRegistry()


@pytest.fixture
def declare() -> Callable[[str], dict[str, Declared]]:
    """Return what a text declares, by name; the content type decides the format."""

    def declare(text: str, content_type: str = "text/plain") -> dict[str, Declared]:
        return {one.name: one for one in read_declared(Exposition(text, content_type))}

    return declare


@pytest.fixture
def panels() -> Callable[[Any], dict[str, dict[str, Any]]]:
    """Return the panels of a dashboard for a text or a registry, by title."""

    def panels(source: Any) -> dict[str, dict[str, Any]]:
        metrics = read_declared(Exposition(source) if isinstance(source, str) else source)
        dashboard = make_grafana_dashboard(metrics, "Shop")
        every = [panel for one in dashboard["panels"] for panel in (one, *one.get("panels", ()))]
        return {panel["title"]: panel for panel in every if panel["type"] != "row"}

    return panels
