"""An empty default registry for a block of code, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from asyncmetrics.registry.registry import REGISTRY, CollectorRegistry

__all__ = ("isolate_default_registry",)


@contextmanager
def isolate_default_registry() -> Iterator[CollectorRegistry]:
    """Let the default registry have the contents of a new one, which is yielded, until the block ends."""
    inner = CollectorRegistry(auto_describe=True)
    contents = ("storage", "_registrations", "_self_metrics")
    outer = {name: getattr(REGISTRY, name) for name in contents}
    try:
        for name in contents:
            setattr(REGISTRY, name, getattr(inner, name))
        yield inner
    finally:
        for name, value in outer.items():
            setattr(REGISTRY, name, value)
