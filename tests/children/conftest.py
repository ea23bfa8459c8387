"""Registries with each storage."""

from __future__ import annotations

import pytest

from asyncmetrics import CollectorRegistry
from asyncmetrics.storage import MemoryStorage, SharedStorage


@pytest.fixture(params=["memory", "locked", "shared", "shared, locked"])
def registry(request: pytest.FixtureRequest, tmp_path) -> CollectorRegistry:
    """A registry of the test's own, with each storage in turn."""
    is_locked = "locked" in request.param
    is_shared = "shared" in request.param
    storage = SharedStorage(str(tmp_path / "m"), locking=is_locked) if is_shared else MemoryStorage(locking=is_locked)
    return CollectorRegistry(storage=storage)
