"""The numbers of one child as objects with `get`, which programs read through private attributes such as ``_value``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, final

from asyncmetrics.errors import MetricsError

__all__ = ("Number", "PrivateView")

T = TypeVar("T")


@final
class Number:
    """One number of a child: its ``_value``, ``_sum``, ``_count`` or one of its ``_buckets``, in this process."""

    __slots__ = ("_child", "_index")

    def __init__(self, child: Any, index: int) -> None:
        self._child = child
        self._index = index

    def get(self) -> float:
        """Return the number; of a bucket, without those below it."""
        numbers: Sequence[float] = self._child.read_numbers()
        is_bucket = 0 < self._index < len(getattr(self._child.table.descriptor, "buckets", ()))
        return numbers[self._index] - (numbers[self._index - 1] if is_bucket else 0.0)

    def get_exemplar(self) -> Any:
        """Return the exemplar of the number, or None."""
        return self._child.read_exemplars().get(self._index)

    def set(self, value: float, timestamp: object = None) -> None:  # noqa: ARG002  # prometheus_client's signature
        """Set a gauge or a counter to ``value``, as tests do. Raises `MetricsError` for the parts of other metrics."""
        match self._child.table.descriptor.kind:
            case "gauge":
                self._child.set(value)
            case "counter":
                self._child.reset()
                self._child.inc(value)
            case kind:
                problem = f"the parts of a {kind} cannot be set apart: remove its children, or use a new registry"
                raise MetricsError(f"{self._child!r}: {problem}")

    def inc(self, amount: float) -> None:
        """Increase a gauge or a counter by ``amount``, which may be negative."""
        self.set(self.get() + amount)


@final
class PrivateView(Generic[T]):
    """A private attribute of prometheus_client that is computed when a program reads it.

    Unlike a property, it does not hinder a derived class that stores a value of its own under this name.
    """

    def __init__(self, read: Callable[[Any], T]) -> None:
        self._read = read

    def __get__(self, metric: Any, owner: type) -> Any:
        return self if metric is None else self._read(metric)
