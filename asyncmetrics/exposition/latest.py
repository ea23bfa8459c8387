"""One whole exposition as bytes, for scripts and tests."""

from __future__ import annotations

from asyncmetrics.exposition._rendering import text_pieces
from asyncmetrics.registry import REGISTRY, Collectable

__all__ = ("generate_latest",)


def generate_latest(registry: Collectable = REGISTRY, escaping: str = "underscores") -> bytes:
    """Return what is in ``registry`` in the text format 0.0.4; ``escaping`` is how names with other characters go.

    The servers of this package never call it: they send chunks as they are rendered. Raises `DefinitionError` for an
    escaping that is none of ``underscores``, ``dots``, ``values`` and ``allow-utf-8``.

    >>> from asyncmetrics import CollectorRegistry, Counter
    >>> registry = CollectorRegistry()
    >>> Counter("jobs_total", "Jobs run.", registry=registry).inc()
    >>> print(generate_latest(registry).decode(), end="")
    # HELP jobs_total Jobs run.
    # TYPE jobs_total counter
    jobs_total 1.0
    """
    return b"".join(text_pieces(registry, escaping))
