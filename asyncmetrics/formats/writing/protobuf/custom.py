"""The families of custom collectors as protobuf.

*Rules.*

* Leave out what OpenMetrics forbids, and report it (`asyncmetrics.formats.writing.sample_groups`).
* Write the points of a series in the order of their times. If one of them has no time, write only that one.
* Write a histogram without a sum, a summary without count and sum, and a time of creation without a value as *bare*
  samples, each in a family of its own name: the messages ``Summary``, ``Histogram`` and ``Counter`` always have all
  numbers, so that a server would read a 0. The buckets are counters, so that they can have exemplars. If one summary of
  a family is written so, all are: the bare quantiles have the name of the family, and no two messages have one name.
* Write the buckets of a gauge histogram, its ``_gcount`` and its ``_gsum`` as bare samples too. Of the message
  ``GAUGE_HISTOGRAM``, Prometheus 2.42 stores count and sum as one series, and 3.5 calls them ``_count`` and ``_sum``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from math import inf, trunc
from operator import attrgetter
from typing import NamedTuple, TypeAlias, final

from asyncmetrics.formats.native_histograms import check_native_histogram
from asyncmetrics.formats.numbers import format_canonical
from asyncmetrics.formats.protobuf import encode_block, encode_double, encode_integer
from asyncmetrics.formats.rules import find_exemplar_problem
from asyncmetrics.formats.writing.claims import Claims
from asyncmetrics.formats.writing.custom_families import list_samples
from asyncmetrics.formats.writing.omissions import Omissions
from asyncmetrics.formats.writing.protobuf.labels import escape_label
from asyncmetrics.formats.writing.protobuf.messages import (
    COUNTER,
    GAUGE,
    HISTOGRAM,
    LAST_SECOND,
    SUMMARY,
    UNTYPED,
    encode_bucket,
    encode_created,
    encode_exemplar,
    encode_label,
    encode_native,
    encode_number,
    encode_summary,
    encode_totals,
    frame_metric,
    has_native_start,
)
from asyncmetrics.formats.writing.sample_groups import SampleGroup, group_samples
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.family import Metric
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.samples import Exemplar, Moment

__all__ = ("CustomFamily",)

_STEP = 16  # groups in one step of an event loop: benchmarks/scrape.py
_MAX_MILLISECONDS = 2**63
_MAX_COUNT = 2.0**63


class _Value(NamedTuple):
    """A value of a group, and the label that it has beside those of the group.

    ``suffix`` is None in the family itself; a bare value has the suffix of its name there.
    """

    value: bytes
    own: bytes = b""
    suffix: str | None = None


_Write: TypeAlias = "Callable[[CustomFamily, SampleGroup], list[_Value]]"
"""Returns the values of a group."""


@final
class CustomFamily:
    """Encodes a family of a custom collector. ``bare`` has the metrics of bare samples, by the suffix of their name.

    ``is_whole`` is whether no group lacks a number, if it is a family of summaries.
    """

    def __init__(self, family: Metric, escaping: str, claims: Claims, omissions: Omissions) -> None:
        self.family = family
        self.kind = KINDS[family.type]
        self.bare: dict[str, list[bytes]] = {}
        self.is_whole = True
        self._escaping = escaping
        self._claims = claims
        self._omissions = omissions
        self._write = _KINDS[family.type]

    def encode(self) -> Iterator[bytes | None]:
        """Yield the metrics in pieces. None stands for a step of work that led to no metric."""
        children: dict[object, list[SampleGroup]] = {}
        samples = list_samples(self.family)
        for group in group_samples(self.family, samples, self._claims, self._omissions, self._escaping):
            if group is None:
                yield None
            else:
                children.setdefault(group.labels, []).append(group)
                self.is_whole = self.is_whole and (self.kind.name != "summary" or _is_whole_summary(group))
        pieces: list[bytes] = []
        for number, groups in enumerate(children.values(), 1):
            for group in groups if len(groups) == 1 else self._order(groups):
                self._encode_group(group, pieces)
            if not number % _STEP:
                yield b"".join(pieces)
                pieces.clear()
        yield b"".join(pieces)

    def is_counter(self, suffix: str) -> bool:
        """Return whether the metrics of ``bare`` with this suffix are counters."""
        return suffix == "_bucket" and self.kind.name == "histogram"

    def omit(self, reason: str, count: int) -> None:
        """Report ``count`` samples that are left out."""
        self._omissions.add(self.family, reason, count)

    def encode_exemplar(self, field: int, suffix: str, exemplar: Exemplar | None, bound: str = "") -> bytes:
        """Return the exemplar of a sample, or nothing if there is none, or one that OpenMetrics forbids."""
        labels = {"le": bound} if bound else {}
        if exemplar is None or find_exemplar_problem(self.kind.name, suffix, labels, exemplar):
            return b""
        return encode_exemplar(field, exemplar, self._write_name)

    def encode_native(self, group: SampleGroup) -> bytes | None:
        """Return the native part of a group, with its count and its sum, or None if it is left out."""
        if group.native is None:
            return None
        try:
            is_whole = check_native_histogram(group.native)
            exemplars = [
                encode_exemplar(16, exemplar, self._write_name)
                for exemplar in group.native.nh_exemplars or ()
                if exemplar.timestamp is not None  # servers drop the others
            ]
            count = group.native.count_value
            totals = encode_totals(count, float(group.native.sum_value), is_whole=is_whole)
            return totals + encode_native(group.native, exemplars, is_whole=is_whole)
        except Exception as error:  # noqa: BLE001  # the objects of a collector may raise anything
            pass_interruption(error)
            problem = str(error) if type(error) is ValueError else "a native histogram needs numbers and spans"
            self.omit(problem, 1)
            return None

    def encode_created(self, field: int, group: SampleGroup) -> bytes:
        """Return the time of creation, if the group has one."""
        created = group.numbers.get("_created")
        if created is None:
            return b""
        if not 0 <= created <= LAST_SECOND:
            self.omit("the time of creation is before 1970 or too large", 1)
            return b""
        return encode_created(field, int(created * 1000))

    def write_own_label(self) -> str:
        """Return the written name of the label of a state: that of the family."""
        return self._write_name(self.family.name)

    def _write_name(self, name: str) -> str:
        return escape_label(name, self._escaping)

    def _order(self, groups: list[SampleGroup]) -> list[SampleGroup]:
        """Return the points of one child as they are written."""
        untimed = next((group for group in groups if group.moment is None), None)
        if untimed is None:
            return sorted(groups, key=attrgetter("moment"))
        count = sum(group.size for group in groups) - untimed.size
        self.omit("the series also has a sample without a time", count)
        return [untimed]

    def _encode_group(self, group: SampleGroup, pieces: list[bytes]) -> None:
        time = _encode_moment(group.moment)
        if time is None:
            self.omit("the time is too large", group.size)
            return
        labels = b"".join([encode_label(name, text) for name, text in group.labels])
        for value, own, suffix in self._write(self, group):
            metric = b"".join((labels, own, value, time))
            out = pieces if suffix is None else self.bare.setdefault(suffix, [])
            out += (frame_metric(len(metric)), metric)


def _encode_moment(moment: Moment | None) -> bytes | None:
    """Return the time of a metric, in milliseconds, or None if it is too large."""
    if moment is None:
        return b""
    milliseconds = trunc(moment[0] * 1000 + Fraction(moment[1], 10**6))  # cut, as in the text format
    return encode_integer(6, milliseconds) if abs(milliseconds) < _MAX_MILLISECONDS else None


def _write_counter(family: CustomFamily, group: SampleGroup) -> list[_Value]:
    if "_total" not in group.numbers:
        return _write_bare_numbers(group)
    exemplar = family.encode_exemplar(2, "_total", group.exemplars[-1] if group.exemplars else None)
    created = family.encode_created(3, group)
    return [_Value(encode_block(COUNTER, encode_double(1, group.numbers["_total"]) + exemplar + created))]


def _write_gauge(_: CustomFamily, group: SampleGroup) -> list[_Value]:
    return [_Value(encode_number(GAUGE, number)) for number in group.numbers.values()]


def _write_unknown(_: CustomFamily, group: SampleGroup) -> list[_Value]:
    return [_Value(encode_number(UNTYPED, number)) for number in group.numbers.values()]


def _write_stateset(family: CustomFamily, group: SampleGroup) -> list[_Value]:
    name = family.write_own_label()
    return [_Value(encode_number(GAUGE, number), encode_label(name, state)) for state, number in group.states.items()]


def _is_whole_summary(group: SampleGroup) -> bool:
    return "_sum" in group.numbers and group.numbers.get("_count", inf) < _MAX_COUNT


def _write_summary(family: CustomFamily, group: SampleGroup) -> list[_Value]:
    if family.is_whole:
        parts = encode_summary(group.numbers["_count"], group.numbers["_sum"], group.quantiles)
        parts += family.encode_created(4, group)
        return [_Value(encode_block(SUMMARY, parts))]
    bare = [_write_bare("", number, "quantile", bound) for bound, number in group.quantiles.items()]
    return bare + _write_bare_numbers(group)


def _write_histogram(family: CustomFamily, group: SampleGroup) -> list[_Value]:
    native = family.encode_native(group)
    if native is not None and group.native is not None and group.buckets.get(inf, 0.0) > group.native.count_value:
        family.omit("the buckets beside a native histogram count more than it does", len(group.buckets))
        group.buckets = {}
    total = group.numbers.get("_sum")
    if native is None and (total is None or not group.buckets):
        if total is None:
            group.numbers.pop("_count", None)  # OpenMetrics allows neither without the other
        buckets = [_encode_bare_bucket(family, group, bound, count) for bound, count in group.buckets.items()]
        return buckets + _write_bare_numbers(group)
    parts = [native or encode_totals(group.buckets[inf], total or 0.0)]
    for bound, count in group.buckets.items():
        exemplar = group.bucket_exemplars.get(bound)
        encoded = family.encode_exemplar(3, "_bucket", exemplar, format_canonical(repr(bound)))
        if bound < inf or encoded:
            parts.append(encode_bucket(bound, count, encoded))
    created = family.encode_created(15, group)
    if native is None or has_native_start(group.numbers.get("_created", 0.0), time.time()):
        parts.append(created)
    return [_Value(encode_block(HISTOGRAM, b"".join(parts)))]


def _write_gauge_histogram(family: CustomFamily, group: SampleGroup) -> list[_Value]:
    native = family.encode_native(group)
    values = [] if native is None else [_Value(encode_block(HISTOGRAM, native))]
    if "_gsum" not in group.numbers:
        group.numbers.pop("_gcount", None)  # as above
    buckets = [_write_bare("_bucket", count, "le", bound) for bound, count in group.buckets.items()]
    return values + buckets + _write_bare_numbers(group)


def _encode_bare_bucket(family: CustomFamily, group: SampleGroup, bound: float, count: float) -> _Value:
    """Return a bucket of a histogram as a counter, which can have an exemplar."""
    le = format_canonical(repr(bound))
    exemplar = family.encode_exemplar(2, "_bucket", group.bucket_exemplars.get(bound), le)
    return _Value(encode_block(COUNTER, encode_double(1, count) + exemplar), encode_label("le", le), "_bucket")


def _write_bare_numbers(group: SampleGroup) -> list[_Value]:
    return [_write_bare(suffix, number) for suffix, number in group.numbers.items()]


def _write_bare(suffix: str, number: float, label: str = "", bound: float = 0.0) -> _Value:
    own = encode_label(label, format_canonical(repr(bound))) if label else b""
    return _Value(encode_number(UNTYPED, number), own, suffix)


_KINDS: dict[str, _Write] = {
    "counter": _write_counter,
    "gauge": _write_gauge,
    "info": _write_gauge,
    "stateset": _write_stateset,
    "histogram": _write_histogram,
    "gaugehistogram": _write_gauge_histogram,
    "summary": _write_summary,
    "unknown": _write_unknown,
}
