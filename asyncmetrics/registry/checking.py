"""Checks the families of collectors before they are exposed: a collector may yield anything.

*Rules.*

1. Leave out what no format can write: a sample, or a family. Return the problem, so that the collection counts it.
2. Check in short steps: a family may have a million samples, and an event loop may wait.
3. Change nothing that belongs to the collector: make a family with the good samples only if there are others.

*Theory of operation.* Almost all samples are right, so a step checks a batch as a whole first, with loops that run in C
(benchmarks/scrape.py). It checks sample by sample only if the batch is not right.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple, TypeAlias, final

from asyncmetrics.errors import show
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.family import METRIC_TYPES, LiveFamily, Metric, copy_family
from asyncmetrics.model.names import to_label_text
from asyncmetrics.model.samples import Sample
from asyncmetrics.registry.refusals import make_family_hint

__all__ = ("CheckedFamily", "LeftOut", "check_family", "find_family_problem")

_BATCH = 256  # samples, of 0.2 µs each if all are right
_PART = 64  # samples, of 6 µs each if they are wrong
_PLAIN_TEXTS = {str, int, float, bool, type(None)}  # types of label values that can be written for certain
_MAX_SECONDS = 1e15  # the text formats have milliseconds, in an integer of 64 bits


class LeftOut(ValueError):
    """A collection leaves out a part of what a collector yielded."""


@final
class CheckedFamily(NamedTuple):
    """What may be exposed of a family, and the problem with the rest, or an empty text."""

    family: Metric | None
    problem: str


Steps: TypeAlias = "Generator[None, None, CheckedFamily]"


def find_family_problem(family: object) -> str:
    """Return why ``family`` cannot be exposed, whatever its samples are, or an empty text."""
    if isinstance(family, LiveFamily):
        return ""
    if not isinstance(family, Metric):
        return f"expected a metric family, got {show(family)}{make_family_hint(family)}"
    try:
        name, kind, _ = family.name, family.type, (family.documentation, family.unit, family.partial)
        if not _is_name(name):
            return f"family {show(name)}: expected a name of one or more printable characters"
        if kind not in METRIC_TYPES:
            return f"family {name!r}: expected one of the types {METRIC_TYPES}, got {show(kind)}"
    except Exception as error:  # noqa: BLE001  # a class of the collector's may have anything for its attributes
        pass_interruption(error)
        return f"expected a metric family, got one whose attributes cannot be read: {show(error)}"
    return ""


def check_family(family: object) -> Steps:
    """Check what a collector has yielded, a batch of samples a step, and return what may be exposed of it."""
    problem = find_family_problem(family)
    if problem or not isinstance(family, Metric):
        return CheckedFamily(None, problem)
    if isinstance(family, LiveFamily):  # its samples are the library's own
        return CheckedFamily(family, "")
    try:
        return (yield from _check_samples(family))
    except Exception as error:  # noqa: BLE001  # samples may be a property or an iterator of the collector's
        pass_interruption(error)
        return CheckedFamily(None, f"family {family.name!r}: its samples cannot be read: {show(error)}")


def _check_samples(family: Metric) -> Steps:
    samples: object = family.samples
    if not isinstance(samples, Iterable):
        return CheckedFamily(None, f"family {family.name!r}: expected a list of samples, got {show(samples)}")
    is_list = isinstance(samples, (list, tuple))
    good: list[Sample] | None = None if is_list else []  # an iterator can be read only once
    wrong: int = 0
    first: _Problem | None = None
    checked = 0
    for batch in _cut(samples):
        kept = batch
        if not _is_right(batch):
            kept, problem = yield from _filter(batch)
            first = first or problem
            wrong += len(batch) - len(kept)
        if wrong and good is None:
            good = []
            for before in _cut(islice(samples, checked)):
                good += before
                yield
        if good is not None:
            good += kept
        checked += len(batch)
        yield
    left_out = f"family {family.name!r}: {_count(wrong)} left out, {first}" if wrong else ""
    return CheckedFamily(family if good is None else copy_family(family, good), left_out)


def _filter(batch: Sequence[Sample]) -> Generator[None, None, tuple[list[Sample], _Problem | None]]:
    """Return the samples of ``batch`` that can be written, and what is wrong with the first of the others."""
    kept: list[Sample] = []
    first: _Problem | None = None
    for number, sample in enumerate(batch):
        problem = _find_sample_problem(sample)
        if problem is None:
            kept.append(sample)
        first = first or problem
        if number % _PART == 0:
            yield
    return kept, first


def _cut(samples: Iterable[Sample]) -> Iterator[Sequence[Sample]]:
    if isinstance(samples, (list, tuple)):
        for start in range(0, len(samples), _BATCH):
            yield samples[start : start + _BATCH]
        return
    rest = iter(samples)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _count(samples: int) -> str:
    return "a sample is" if samples == 1 else f"{samples} samples are"


def _is_right(batch: Sequence[Sample]) -> bool:
    """Return whether all samples of ``batch`` can be written; False also if that takes a closer look."""
    if {*map(type, batch)} != {Sample}:
        return False
    try:
        names, labels, values, timestamps, *_ = zip(*batch, strict=True)
        deque(map(float, values), 0)
        texts = {*map(type, chain.from_iterable(map(dict.values, labels)))}
        times = {*timestamps} - {None}
        return texts <= _PLAIN_TEXTS and all(map(_is_time, times)) and all(map(_is_name, {*names}))
    except Exception as error:  # noqa: BLE001  # of a collector's objects
        pass_interruption(error)
        return False


def _find_sample_problem(sample: Sample) -> _Problem | None:
    """Return why ``sample`` cannot be written."""
    try:
        name, labels, value, timestamp, _ = (
            sample.name,
            sample.labels,
            sample.value,
            sample.timestamp,
            sample.exemplar,
        )
        is_native = getattr(sample, "native_histogram", None) is not None  # such a sample may have no other value
    except Exception as error:  # noqa: BLE001  # it may be anything
        pass_interruption(error)
        return _Problem("expected a Sample", sample)
    if not _is_name(name):
        return _Problem("expected one or more printable characters as the name of a sample", name)
    if not _has_texts(labels):
        return _Problem("expected a mapping of names to texts as its labels", labels, name)
    if not (is_native or _is_number(value)):
        return _Problem("expected a number as its value", value, name, labels)
    if timestamp is not None and not _is_time(timestamp):
        return _Problem("expected a Unix time in seconds, from 0 to 1e15, as its timestamp", timestamp, name, labels)
    return None


@final
class _Problem(NamedTuple):
    """What is wrong with a sample. Its text is made for the first one only: there may be a million."""

    expected: str
    got: object
    name: str = ""
    labels: object = None

    def __str__(self) -> str:
        series = f"sample {self.name!r}{f' {show(self.labels)}' if self.labels else ''}: " if self.name else ""
        return f"{series}{self.expected}, got {show(self.got)}"


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name != "" and name.isprintable()


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]  # that is the question
    except Exception as error:  # noqa: BLE001  # ``__float__`` may be the collector's
        pass_interruption(error)
        return False
    return True


def _is_time(timestamp: object) -> bool:
    return _is_number(timestamp) and 0 <= float(timestamp) < _MAX_SECONDS  # type: ignore[arg-type]


def _has_texts(labels: object) -> bool:
    try:
        for name, text in labels.items():  # type: ignore[attr-defined]  # that is the question
            to_label_text(name)
            to_label_text(text)
    except Exception as error:  # noqa: BLE001  # as above
        pass_interruption(error)
        return False
    return True
