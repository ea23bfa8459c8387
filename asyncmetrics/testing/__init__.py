"""Helpers for tests of your own: what metrics did, what an application exposes, and the contract of a storage.

- `MetricChanges`: by how much metrics have changed since a moment. The fixture ``metric_changes`` of pytest is one.
- `compare`: compares what a registry exposes with a text.
- `scrape`: reads the metrics of an ASGI application without a server.
- `isolated_registry`: an empty default registry for a block of code.
- `StorageContract`: the tests that every storage must pass.

None of them needs pytest: they raise `AssertionError`, so they work with unittest as well.
"""

from __future__ import annotations

from asyncmetrics.testing.changes import Change, MetricChanges
from asyncmetrics.testing.comparison import compare
from asyncmetrics.testing.isolation import isolated_registry
from asyncmetrics.testing.scraping import ScrapedMetrics, scrape
from asyncmetrics.testing.steps import Reader
from asyncmetrics.testing.storage import StorageContract

__all__ = (
    "Change",
    "MetricChanges",
    "Reader",
    "ScrapedMetrics",
    "StorageContract",
    "compare",
    "isolated_registry",
    "scrape",
)
