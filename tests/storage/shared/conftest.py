"""Workers that share a directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from asyncmetrics import CollectorRegistry
from asyncmetrics.storage import SharedStorage


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The directory that workers share; the first of them makes it."""
    return tmp_path / "metrics"


@pytest.fixture
def worker(path: Path) -> Callable[[], CollectorRegistry]:
    """Make a registry as one more worker on the same directory would have it."""
    return lambda: CollectorRegistry(storage=SharedStorage(str(path)))
