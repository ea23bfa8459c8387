"""One whole exposition as bytes, for scripts, tests and handlers of other frameworks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from asyncmetrics.exposition.rendering import text_pieces
from asyncmetrics.formats.negotiation import Format, is_gzip_accepted, negotiate
from asyncmetrics.registry import REGISTRY, Collectable

__all__ = ("choose_encoder", "generate_latest", "gzip_accepted")

Encoder: TypeAlias = Callable[[Collectable], bytes]


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


def choose_encoder(accept_header: str | None) -> tuple[Encoder, str]:
    r"""Return what turns a registry into the format that an Accept header asks for, and its Content-Type.

    >>> from asyncmetrics import REGISTRY
    >>> encoder, content_type = choose_encoder("application/openmetrics-text; version=1.0.0")
    >>> encoder(REGISTRY).endswith(b"# EOF\n"), content_type
    (True, 'application/openmetrics-text; version=1.0.0; charset=utf-8')
    """
    chosen = negotiate(accept_header)
    return _encoder(chosen), chosen.content_type


def gzip_accepted(accept_encoding_header: str | None) -> bool:
    """Tell whether an Accept-Encoding header allows gzip."""
    return is_gzip_accepted(accept_encoding_header)


def _encoder(chosen: Format) -> Encoder:
    def encoder(registry: Collectable) -> bytes:
        return b"".join(chosen.encode(registry.collect()))

    return encoder
