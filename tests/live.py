"""Families that are read while they are rendered, as those of metrics are; their reading can be watched, and fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import LiveFamily


class _Point(NamedTuple):
    labelvalues: tuple[str, ...]
    value: float
    label_block = None
    exemplar = None
    created = 0.0

    def read_numbers(self):
        return [self.value]

    def read_exemplars(self):
        return {}

    def read_extra_labels(self):
        return {}


def make_live(
    name: str,
    read: Callable[[], list[tuple[dict[str, str], float]]],
    labelnames: tuple[str, ...] = ("position", "index"),
) -> LiveFamily:
    """Return a family of gauges; ``read`` returns labels and numbers, and is called when the family is rendered."""

    def read_batches() -> Iterator[list[_Point]]:
        points = [_Point(tuple(labels.values()), value) for labels, value in read()]
        for start in range(0, len(points), 100):
            yield points[start : start + 100]

    return LiveFamily(Descriptor("gauge", name, "A family.", labelnames), read_batches, now=0.0)
