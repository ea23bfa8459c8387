"""Several tables with different labels, as one live family.

Children of one family differ in their label names, since each measurement has the attributes that it has. A table has
fixed label names. So each set of label names has a table of its own, a *part* of the family.

*Theory of operation.* The name of a part is that of the family, a colon, and a digest of its label names: workers that
have seen the same attributes share the part. `merge_parts` makes one family of all parts. Its label names are those of
all parts, and labels that a child lacks are empty, which are not exposed (`Descriptor.omit_empty`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import final

from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import LiveFamily, Point
from asyncmetrics.model.samples import Exemplar, NativeHistogram

__all__ = ("get_family_name", "is_part", "make_part", "merge_parts")


def make_part(family: Descriptor, labelnames: tuple[str, ...]) -> Descriptor:
    """Return the definition of the part of ``family`` whose children have these labels."""
    digest = hashlib.blake2s("\n".join(labelnames).encode(), digest_size=8).hexdigest()
    return replace(family, name=f"{family.name}:{digest}", labelnames=labelnames, omit_empty=True)


def get_family_name(part: str) -> str:
    """Return the name of the family of a part, which may have colons too."""
    return part.rpartition(":")[0]


def is_part(part: Descriptor, family: Descriptor) -> bool:
    """Return whether the series of ``part`` can be exposed in ``family``."""
    return _get_shape(part) == _get_shape(family)


def merge_parts(family: Descriptor, parts: Sequence[LiveFamily], *, now: float, created: bool) -> LiveFamily:
    """Return one live family of all ``parts``, for each of which `is_part` is true."""
    names = tuple(sorted({name for part in parts for name in part.descriptor.labelnames}))
    merged = replace(family, labelnames=names, omit_empty=True)
    return LiveFamily(merged, partial(_read_parts, parts, names), now=now, created=created)


def _get_shape(descriptor: Descriptor) -> tuple[object, ...]:
    return descriptor.kind, descriptor.unit, descriptor.buckets, descriptor.mode, descriptor.native


def _read_parts(parts: Sequence[LiveFamily], names: tuple[str, ...]) -> Iterator[Sequence[Point]]:
    for part in parts:
        if part.descriptor.labelnames == names:
            yield from part.read_batches()
            continue
        positions = {name: index for index, name in enumerate(part.descriptor.labelnames)}
        places = [positions.get(name, -1) for name in names]
        for batch in part.read_batches():
            yield [_WidePoint(point, places) for point in batch]


@final
class _WidePoint:
    """A point with the labels of all parts. Its label block is that of its own part, as empty labels are left out."""

    __slots__ = ("_places", "_point")

    def __init__(self, point: Point, places: Sequence[int]) -> None:
        self._point = point
        self._places = places

    @property
    def labelvalues(self) -> tuple[str, ...]:
        """The values of the labels of all parts, empty where the point has no such label."""
        values = self._point.labelvalues
        return tuple(values[place] if place >= 0 else "" for place in self._places)

    @property
    def label_block(self) -> str | None:
        """The label block of the point."""
        return self._point.label_block

    @property
    def created(self) -> float:
        """When the child was created."""
        return self._point.created

    def read_numbers(self) -> Sequence[float]:
        """Return the numbers of the point."""
        return self._point.read_numbers()

    def read_exemplars(self) -> Mapping[int, Exemplar]:
        """Return the exemplars of the point."""
        return self._point.read_exemplars()

    def read_native(self) -> NativeHistogram | None:
        """Return the native histogram of the child."""
        return self._point.read_native()

    def read_extra_labels(self) -> Mapping[str, str]:
        """Return the label of the worker, if it has one."""
        return self._point.read_extra_labels()
