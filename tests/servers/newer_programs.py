"""Newer programs than Debian 12's, the second tier: no run fails because one is missing."""

from __future__ import annotations

import os

import pytest

__all__ = ("VARIABLES", "find_newer_program")

VARIABLES = {
    "promtool": "ASYNCMETRICS_NEWER_PROMTOOL",
    "prometheus": "ASYNCMETRICS_NEWER_PROMETHEUS",
    "victoria-metrics": "ASYNCMETRICS_VICTORIA_METRICS",
}
"""The variables of the environment that have the paths of a promtool 3, a Prometheus 3, and any VictoriaMetrics."""


def find_newer_program(name: str) -> str:
    """Return the path of a newer program; skip the test if its variable of `VARIABLES` is not set."""
    path = os.environ.get(VARIABLES[name])
    if not path:
        pytest.skip(f"newer {name}: {VARIABLES[name]} is not set")
    return path
