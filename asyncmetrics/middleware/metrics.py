"""How one middleware makes its metrics: on its registry, with its labels, and with the buckets chosen for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, final

from asyncmetrics.errors import DefinitionError
from asyncmetrics.metrics import Counter, Histogram
from asyncmetrics.middleware.labels import Labelling

__all__ = ("Buckets", "Families")

Bounds: TypeAlias = Iterable[float | str]
Buckets: TypeAlias = Bounds | Mapping[str, Bounds]

_MAX_CHILDREN = 10_000
_BYTES = tuple(256 * 4**power for power in range(10))  # 256 B to 64 MiB
_LIFETIMES = (0.1, 1, 10, 60, 300, 900, 3600, 14_400, 86_400)  # a tenth of a second to a day
# Those that buckets without a name are for.
_DURATIONS = (
    "http_server_request_duration_seconds",
    "http_server_time_to_first_byte_seconds",
    "http_server_background_duration_seconds",
)
_DEFAULTS: dict[str, Bounds] = {
    **dict.fromkeys(_DURATIONS, Histogram.DEFAULT_BUCKETS),
    "http_server_request_body_size_bytes": _BYTES,
    "http_server_response_body_size_bytes": _BYTES,
    "websocket_server_connection_duration_seconds": _LIFETIMES,
}


@final
class Families:
    """The histograms and counters of one middleware; the middleware of one registry share them."""

    def __init__(self, labelling: Labelling, buckets: Buckets) -> None:
        self._labelling = labelling
        chosen = _chosen(buckets)
        for name, bounds in chosen.items():  # before any of them is registered
            Histogram(name, name, registry=None, buckets=bounds)
        self._buckets = {**_DEFAULTS, **chosen}
        self._options: dict[str, Any] = {
            "registry": labelling.registry,
            "context_labels": labelling.context,
            "max_children": _MAX_CHILDREN,
            "exist_ok": True,
        }

    def histogram(self, name: str, documentation: str, *labels: str) -> Histogram:
        """Return the histogram of this name, with those labels that every family has as well."""
        names = self._labelling.names(*labels)
        return Histogram(name, documentation, names, buckets=self._buckets[name], **self._options)

    def counter(self, name: str, documentation: str, *labels: str) -> Counter:
        """Return the counter of this name, with those labels that every family has as well."""
        return Counter(name, documentation, self._labelling.names(*labels), **self._options)


def _chosen(buckets: Buckets) -> dict[str, Bounds]:
    if isinstance(buckets, str):
        raise DefinitionError("buckets", f"expected numbers, got the string {buckets!r}")
    if not isinstance(buckets, Mapping):
        same: Bounds = tuple(buckets)
        return dict.fromkeys(_DURATIONS, same)
    if unknown := buckets.keys() - _DEFAULTS.keys():
        raise DefinitionError("buckets", f"expected names among {sorted(_DEFAULTS)}, got {sorted(unknown)}")
    return {str(name): tuple(bounds) for name, bounds in buckets.items()}
