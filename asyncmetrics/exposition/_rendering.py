"""From a registry to chunks of bytes, in the format, the selection and the compression that were asked for.

*Rules.* Chunks are made one at a time, when the next one is asked for: whoever drives the iterator decides when, and
stops the work by letting go of it. The families are gathered, and the first chunk is made, before the first byte is
sent, so that what fails until then can still be told by a status.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

from asyncmetrics.errors import CollectorError, DefinitionError
from asyncmetrics.formats import prometheus_text
from asyncmetrics.formats.negotiation import Format
from asyncmetrics.model.family import Metric
from asyncmetrics.model.names import ESCAPING_SCHEMES
from asyncmetrics.registry import Collectable, CollectorRegistry

__all__ = ("OnError", "Rendering", "check_on_error", "record_failure", "text_chunks")

OnError: TypeAlias = Literal["skip", "fail"]
_log = logging.getLogger("asyncmetrics")

# Level 1 takes a third of the time of level 6 for text that shrinks to less than a tenth either way.
_GZIP_LEVEL = 1
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
# A format aims at 64 KiB but writes what belongs together as one piece; compressing or sending that must not take long.
_MAX_CHUNK = 128 * 1024


@final
@dataclass(frozen=True, slots=True)
class Rendering:
    """What to render: the ``format``, the sample ``names`` that are wanted (none means all), and whether as gzip."""

    format: Format
    names: frozenset[str]
    gzip: bool

    def source(self, registry: Collectable) -> Collectable:
        """Return what has to be collected: with names, only the collectors of a registry that have them."""
        if self.names and isinstance(registry, CollectorRegistry):
            return registry.restricted_registry(self.names)
        return registry

    def chunks(self, families: Iterable[Metric]) -> Iterator[bytes]:
        """Yield the body; no chunk is empty, and none is made before it is asked for."""
        wanted = self._wanted(families) if self.names else families
        encoded = _cut(self.format.encode(wanted))
        return _compressed(encoded) if self.gzip else encoded

    def _wanted(self, families: Iterable[Metric]) -> Iterator[Metric]:
        parts = (family.restricted(self.names) for family in families)
        return (part for part in parts if part is not None)


def _cut(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield from (chunk[start : start + _MAX_CHUNK] for start in range(0, len(chunk), _MAX_CHUNK))


def _compressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    stream = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    for chunk in chunks:
        # Flushed at every chunk: without that, several would be rendered for one that comes out (12 ms instead of 1).
        yield stream.compress(chunk) + stream.flush(zlib.Z_SYNC_FLUSH)
    yield stream.flush()


def text_chunks(registry: Collectable, escaping: str) -> Iterator[bytes]:
    """Collect ``registry`` and yield it in the text format 0.0.4, for those who need no negotiation."""
    if escaping not in ESCAPING_SCHEMES:
        raise DefinitionError("escaping", f"expected one of {ESCAPING_SCHEMES}, got {escaping!r}")
    return prometheus_text.encode(registry.collect(), escaping=escaping)


def check_on_error(on_error: str) -> None:
    """Raise `DefinitionError` unless this says what happens when a collector fails."""
    if on_error not in {"skip", "fail"}:
        raise DefinitionError("on_error", f"expected 'skip' or 'fail', got {on_error!r}")


def record_failure(registry: Collectable, error: Exception) -> str:
    """Count and log ``error``, which is being handled, and return what may be told about it to whoever asked.

    The error's own message is kept for the log: it may hold what is not meant for everyone who can reach the endpoint.
    """
    event, where = "internal_errors", "exposition"
    if isinstance(error, CollectorError):
        event, where = "collector_errors", error.collector
    if isinstance(registry, CollectorRegistry):
        registry.count_event(event, where)  # logs as well, the first time
    else:
        _log.warning("%s in %s", event.replace("_", " "), where, exc_info=error)
    return f"The metrics cannot be served: {event.replace('_', ' ')} in {where}; see the log."
