"""The families that programs get from ``collect()``: they may keep, change, compare and pickle them.

The expositions do not use this module: they render a `LiveFamily` as it is, without a sample for each of its children.
"""

from __future__ import annotations

from collections.abc import Generator
from copy import copy
from itertools import islice

from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.family import LiveFamily, Metric, copy_family
from asyncmetrics.model.samples import Sample

__all__ = ("make_plain", "make_plain_in_steps")

_BATCH = 256  # samples; a million of them take 2 s


def make_plain(family: Metric) -> Metric:
    """Return a `Metric` with the samples of this moment; of a collector's family, a copy of the same class."""
    if isinstance(family, LiveFamily):
        return copy_family(family, family.samples)
    samples = list(family.samples)
    try:
        plain = copy(family)
        plain.samples = samples
    except Exception as error:  # noqa: BLE001  # a class of the collector's may refuse either
        pass_interruption(error)
        return copy_family(family, samples)
    return plain


def make_plain_in_steps(family: Metric) -> Generator[None, None, Metric]:
    """Do the same as `make_plain`, a short step at a time."""
    if not isinstance(family, LiveFamily):
        return make_plain(family)
    samples: list[Sample] = []
    rest = family.iter_samples()
    while batch := list(islice(rest, _BATCH)):
        samples += batch
        yield
    return copy_family(family, samples)
