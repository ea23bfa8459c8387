"""The numbers of one child as objects with `get`, which programs read through private attributes such as ``_value``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from math import inf
from typing import Any, Generic, NoReturn, TypeVar, final

from asyncmetrics.errors import AmountError, MetricsError

__all__ = ("Children", "Number", "PrivateView")

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
        """Set the number, as tests do.

        Raises `MetricsError` for the count of a histogram, which is the sum of its buckets, and `AmountError` for a
        value that the number cannot have.
        """
        match self._child.table.descriptor.kind:
            case "gauge":
                self._child.set(value)
            case "counter":
                if not 0 <= value < inf:  # before the old number is gone
                    raise AmountError(repr(self._child), value, "a finite number that is not negative")
                self._child.reset()
                self._child.inc(value)
            case _:
                self._child.set_number(self._find_index(value), value + 0.0)

    def inc(self, amount: float) -> None:
        """Increase the number by ``amount``, which may be negative if the result is a number for it."""
        if self._child.table.descriptor.kind in {"summary", "histogram"}:
            self._child.add_number(self._find_index(amount), amount + 0.0)
        else:
            self.set(self.get() + amount)

    def _find_index(self, number: float) -> int:
        """Return the index of the child's `add_number` and `set_number`, after a check of ``number``."""
        bounds = len(getattr(self._child.table.descriptor, "buckets", ()))
        if bounds and self._index == bounds:
            raise MetricsError(f"{self._child!r}: the count of a histogram is the sum of its buckets: set these")
        if not -inf < number < inf:
            raise AmountError(repr(self._child), number, "a finite number")
        return self._index - (self._index > bounds > 0)  # a child does not keep the count, which is before the sum


@final
class Children(MutableMapping["tuple[str, ...]", Any]):
    """The children of a metric by their label values, as its ``_metrics``; what is deleted here is removed there."""

    __slots__ = ("_metric",)

    def __init__(self, metric: Any) -> None:
        self._metric = metric

    def __getitem__(self, values: tuple[str, ...]) -> Any:
        if values not in set(self):
            raise KeyError(values)
        return self._metric._find(values)

    def __setitem__(self, values: tuple[str, ...], child: object) -> NoReturn:
        raise TypeError(f"{self._metric!r} makes its children itself: call labels()")

    def __delitem__(self, values: tuple[str, ...]) -> None:
        if values not in set(self):
            raise KeyError(values)
        self._metric.remove(*values)

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return iter(self._metric.label_values())

    def __len__(self) -> int:
        return len(self._metric.label_values())

    def clear(self) -> None:
        """Remove all children."""
        self._metric.clear()

    def __repr__(self) -> str:
        return repr(dict(self))


@final
class PrivateView(Generic[T]):
    """A private attribute of prometheus_client that is computed when a program reads it.

    Unlike a property, it does not hinder a derived class that stores a value of its own under this name.
    """

    def __init__(self, read: Callable[[Any], T]) -> None:
        self._read = read

    def __get__(self, metric: Any, owner: type) -> Any:
        return self if metric is None else self._read(metric)
