"""`isolated_registry`: an empty default registry for a block of code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from asyncmetrics.registry import CollectorRegistry
from asyncmetrics.registry.isolation import isolate_default_registry

__all__ = ("isolated_registry",)


@contextmanager
def isolated_registry() -> Iterator[CollectorRegistry]:
    """Keep what the block declares in the default registry out of it, and yield the registry that takes it instead.

    Inside the block `asyncmetrics.REGISTRY` is empty, so a factory that declares metrics can run once for each test,
    and a module that declares some can be imported anew. After it, the default registry is as before; the metrics that
    the block declared still count, and only the yielded registry exposes them.

    A metric that was declared before the block goes on counting where it is: it is not exposed inside. The block is one
    for the whole process: do not run two at a time in two threads.

    >>> from asyncmetrics import REGISTRY, Counter
    >>> with isolated_registry() as registry:
    ...     Counter("jobs_total", "Jobs run.").inc()
    ...     REGISTRY.get_sample_value("jobs_total")
    1.0
    >>> registry.get_sample_value("jobs_total"), REGISTRY.get_sample_value("jobs_total")
    (1.0, None)
    """
    with isolate_default_registry() as registry:
        yield registry
