"""Both libraries: what a test claims of ours has to be true of prometheus_client as well."""

from __future__ import annotations

from typing import Any

import prometheus_client
import pytest

import asyncmetrics.prometheus_client

LIBRARIES = {"prometheus_client": prometheus_client, "asyncmetrics": asyncmetrics.prometheus_client}


@pytest.fixture(params=LIBRARIES.values(), ids=LIBRARIES.keys())
def library(request: pytest.FixtureRequest) -> Any:
    """Return prometheus_client, and then the drop-in."""
    return request.param
