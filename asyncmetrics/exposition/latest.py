"""One exposition as bytes, whole or in chunks, for scripts, tests, files and handlers of other frameworks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from asyncmetrics.formats.negotiation import is_gzip_accepted, negotiate
from asyncmetrics.formats.writing.text import encode_text
from asyncmetrics.model.escaping import check_escaping
from asyncmetrics.registry import REGISTRY, Collectable, check_registry
from asyncmetrics.registry.collectables import collect_or_raise, find_self_metrics

__all__ = ("choose_encoder", "generate_chunks", "generate_latest", "gzip_accepted")

Encoder: TypeAlias = Callable[[Collectable], bytes]


def generate_latest(registry: Collectable = REGISTRY, escaping: str = "underscores") -> bytes:
    """Return ``registry`` in the text format 0.0.4.

    ``escaping`` is how names with other characters are written: ``underscores``, ``dots``, ``values`` or
    ``allow-utf-8``. Raises `DefinitionError` for another one. The servers of this package never call this function:
    they send chunks as they are rendered.

    >>> from asyncmetrics import CollectorRegistry, Counter
    >>> registry = CollectorRegistry()
    >>> Counter("jobs_total", "Jobs run.", registry=registry).inc()
    >>> print(generate_latest(registry).decode(), end="")
    # HELP jobs_total Jobs run.
    # TYPE jobs_total counter
    jobs_total 1.0
    """
    return b"".join(generate_chunks(registry, escaping))


def generate_chunks(registry: Collectable, escaping: str) -> Iterator[bytes]:
    """Collect ``registry`` and return the bytes of `generate_latest` in chunks."""
    check_registry(registry)
    check_escaping(escaping)
    on_omitted = find_self_metrics(registry).count_omitted_sample
    return encode_text(collect_or_raise(registry), escaping=escaping, on_omitted=on_omitted)


def choose_encoder(accept_header: str | None) -> tuple[Encoder, str]:
    r"""Return the encoder of the format that an Accept header asks for, and its Content-Type.

    >>> from asyncmetrics import REGISTRY
    >>> encoder, content_type = choose_encoder("application/openmetrics-text; version=1.0.0")
    >>> encoder(REGISTRY).endswith(b"# EOF\n"), content_type
    (True, 'application/openmetrics-text; version=1.0.0; charset=utf-8')
    """
    format_ = negotiate(accept_header)

    def encode(registry: Collectable) -> bytes:
        check_registry(registry)
        on_omitted = find_self_metrics(registry).count_omitted_sample
        return b"".join(format_.encode(collect_or_raise(registry), on_omitted))

    return encode, format_.content_type


def gzip_accepted(accept_encoding_header: str | None) -> bool:
    """Return whether an Accept-Encoding header allows gzip; prometheus_client's name of `is_gzip_accepted`."""
    return is_gzip_accepted(accept_encoding_header)
