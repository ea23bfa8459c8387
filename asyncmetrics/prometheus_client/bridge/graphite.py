"""`GraphiteBridge`: metrics pushed to Graphite's plaintext port."""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import final

from asyncmetrics.model.samples import Sample
from asyncmetrics.prometheus_client.registry import REGISTRY, Collector
from asyncmetrics.registry import Collectable
from asyncmetrics.registry.collectables import collect_or_raise

__all__ = (
    "Collector",
    "GraphiteBridge",
)

_INVALID = re.compile(r"[^a-zA-Z0-9_-]")  # a dot separates the parts of a path
_log = logging.getLogger("asyncmetrics")


def _sanitize(text: str) -> str:
    return _INVALID.sub("_", text)


@final
class GraphiteBridge:
    """Push ``registry`` to the Graphite server at ``address``, a host and a port.

    Labels become parts of the path, or tags if ``tags`` is true. ``timeout_seconds`` limits the connection.
    """

    def __init__(
        self,
        address: tuple[str, int],
        registry: Collectable = REGISTRY,
        timeout_seconds: float = 30,
        _timer: Callable[[], float] = time.time,
        tags: bool = False,
    ) -> None:
        self._address = address
        self._registry = registry
        self._timeout = timeout_seconds
        self._timer = _timer
        self._tags = tags

    def push(self, prefix: str = "") -> None:
        """Send all samples once. Raises `OSError` if the server cannot be reached."""
        lines = "".join(self._format_lines(f"{prefix}." if prefix else "", int(self._timer())))
        with socket.create_connection(self._address, self._timeout) as connection:
            connection.sendall(lines.encode("ascii"))

    def start(self, interval: float = 60.0, prefix: str = "") -> None:
        """Push every ``interval`` seconds from a daemon thread. A push that fails is logged."""
        threading.Thread(
            target=self._push_regularly, args=(interval, prefix), name="asyncmetrics-graphite", daemon=True
        ).start()

    def _push_regularly(self, interval: float, prefix: str) -> None:
        due = time.monotonic()
        while True:
            try:
                self.push(prefix)
            except OSError:
                _log.exception("the push to Graphite at %s failed; the next one is in %s s", self._address, interval)
            now = time.monotonic()
            due += interval * max(1, -(-(now - due) // interval))  # leaves out those that are late already
            time.sleep(max(0.0, due - now))

    def _format_lines(self, prefix: str, now: int) -> Iterator[str]:
        for family in collect_or_raise(self._registry):
            for sample in family.samples:
                if getattr(sample, "native_histogram", None) is not None:
                    continue  # Graphite has numbers only
                yield f"{prefix}{_sanitize(sample.name)}{self._format_labels(sample)} {float(sample.value)} {now}\n"

    def _format_labels(self, sample: Sample) -> str:
        separator, equals = (";", "=") if self._tags else (".", ".")
        return "".join(
            f"{separator}{_sanitize(name)}{equals}{_sanitize(value)}" for name, value in sorted(sample.labels.items())
        )
