"""Numbers outside of metrics, for libraries that build their own metrics on `ValueClass`.

The metrics of this package do not use them: their numbers are shared between workers without a choice here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock
from typing import Any

from asyncmetrics.prometheus_client.samples import Exemplar

__all__ = ("MultiProcessValue", "MutexValue", "ValueClass", "close_all_multiprocess_files", "get_value_class")


class MutexValue:
    """A number with a lock, in this process alone."""

    _multiprocess = False

    def __init__(self, *_: Any, **__: Any) -> None:
        self._value = 0.0
        self._exemplar: Exemplar | None = None
        self._lock = Lock()

    def inc(self, amount: float) -> None:
        """Add ``amount``."""
        with self._lock:
            self._value += amount

    def set(self, value: float, timestamp: float | None = None) -> None:  # noqa: ARG002  # prometheus_client's signature
        """Replace the number."""
        self._value = value

    def set_exemplar(self, exemplar: Exemplar) -> None:
        """Replace the exemplar."""
        self._exemplar = exemplar

    def get(self) -> float:
        """Return the number."""
        return self._value

    def get_exemplar(self) -> Exemplar | None:
        """Return the exemplar."""
        return self._exemplar


def MultiProcessValue(process_identifier: Callable[[], object] = os.getpid) -> type[MutexValue]:  # noqa: ARG001, N802
    """Return `MutexValue`: workers find each other, whatever identifies a process."""
    return MutexValue


def close_all_multiprocess_files() -> None:
    """Do nothing: the storage of the metrics owns its files."""


def get_value_class() -> type[MutexValue]:
    """Return `MutexValue`."""
    return MutexValue


ValueClass = get_value_class()
