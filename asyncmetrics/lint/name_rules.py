"""The rules for the names and help texts of metrics."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from asyncmetrics.lint.problem import Finding
from asyncmetrics.lint.subjects import Others, Subject
from asyncmetrics.lint.units import ABBREVIATIONS, HABITS, find_base_unit

__all__ = (
    "Finder",
    "check_abbreviation",
    "check_base_unit",
    "check_camel_case",
    "check_colon",
    "check_copied_help",
    "check_counter",
    "check_created_or_info",
    "check_habit",
    "check_help",
    "check_help_of_name",
    "check_other_type",
    "check_own_type",
    "check_sample_suffix",
    "check_timestamp",
    "check_total",
)

Finder: TypeAlias = Callable[[Subject, Others], Iterator[Finding]]
"""A rule: it yields what is wrong with a metric."""

_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")
_TYPES = ("counter", "gauge", "histogram", "summary")
# OpenTelemetry's names of the connections of pools, which asyncmetrics exposes.
_CONVENTIONS = ("db_client_connection_count", "http_client_connection_count")
_SAMPLES = {"_bucket": ("histogram",), "_count": ("histogram", "summary"), "_sum": ("histogram", "summary")}


def check_help(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find a metric without a help text."""
    del others
    if subject.help is None:
        yield Finding("it has no help text", "say in one sentence what is measured, and in which unit")


def check_base_unit(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find a unit that is not the base unit."""
    del others
    unit, base = find_base_unit(subject.name.split("_"))
    if unit != base:
        better = _replace_word(subject.name, unit, base)
        yield Finding(f"{unit} is not the base unit {base}", f"measure in {base} and call it {better!r}")


def check_counter(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find a counter whose name has no ``_total``."""
    del others
    if subject.kind == "counter" and not subject.name.endswith("_total"):
        yield Finding("the name of a counter ends with _total", f"call it {subject.name + '_total'!r}")


def check_total(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find ``_total`` at the name of another type."""
    del others
    if subject.kind not in {"counter", "untyped"} and subject.name.endswith("_total"):
        advice = f"call it {subject.name.removesuffix('_total')!r}, or make it a counter if it never falls"
        yield Finding(f"_total is for counters, and this is a {subject.kind}", advice)


def check_sample_suffix(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find the suffixes of the samples of histograms and summaries at other names, but those of conventions."""
    del others
    if subject.name.endswith(_CONVENTIONS):
        return
    for suffix, kinds in _SAMPLES.items():
        if subject.name.endswith(suffix) and subject.kind not in {*kinds, "untyped"}:
            advice = f"use another last word: {suffix} belongs to the samples of a {' or a '.join(kinds)}"
            yield Finding(f"a {subject.kind} has a name that ends with {suffix}", advice)


def check_own_type(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find the type of the metric in its name."""
    del others
    if subject.kind in _TYPES and subject.kind in _list_later_words(subject.name):
        advice = f"leave out {subject.kind!r}: Prometheus knows the type"
        yield Finding(f"the name has the type {subject.kind}", advice)


def check_other_type(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find the name of another type in the name of a metric."""
    del others
    words = _list_later_words(subject.name)
    for kind in _TYPES:
        if kind in words and kind != subject.kind:
            advice = f"leave out {kind!r}, which a reader takes for the type"
            yield Finding(f"the name has the word {kind}, and the type is {subject.kind}", advice)


def check_colon(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find a colon, which is for the names of recording rules."""
    del others
    if ":" in subject.name:
        better = subject.name.replace(":", "_").strip("_")
        yield Finding("a colon is for the names of recording rules", f"call it {better!r}")


def check_camel_case(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find a name in camel case."""
    del others
    if _CAMEL_CASE.search(subject.name):
        yield Finding("the name is in camelCase", f"call it {_CAMEL_CASE.sub('_', subject.name).lower()!r}")


def check_abbreviation(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find an abbreviated unit."""
    del others
    found = next((word for word in _list_later_words(subject.name) if word in ABBREVIATIONS), "")
    if found:
        base = ABBREVIATIONS[found]
        better = _replace_word(subject.name.lower(), found, base)
        yield Finding(f"{found!r} looks like an abbreviated unit", f"measure in {base} and call it {better!r}")


def check_habit(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find the other units of Python programs, such as a percentage."""
    del others
    for word in _list_later_words(subject.name):
        if word in HABITS:
            base = HABITS[word]
            value = "a ratio from 0 to 1" if base == "ratio" else base
            better = _replace_word(subject.name.lower(), word, base)
            yield Finding(f"{word} is not the base unit {base}", f"expose {value} and call it {better!r}")


def check_timestamp(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find ``_timestamp_seconds`` at a name that is not of a gauge."""
    del others
    if subject.kind not in {"gauge", "untyped"} and subject.name.endswith("_timestamp_seconds"):
        yield Finding(f"a time is a gauge, and this is a {subject.kind}", "make it a gauge that is set to the time")


def check_created_or_info(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find ``_created`` and ``_info`` at names that are neither a time of creation nor an info."""
    name = subject.name
    owner = name.removesuffix("_created")
    if owner != name and not {owner, f"{owner}_total"} & others.names:
        advice = "use another word: _created is the time at which a counter, a histogram or a summary was created"
        yield Finding("the name ends with _created", advice)
    is_info = subject.kind in {"gauge", "untyped"} and all(sample.value == 1 for sample in subject.samples)
    if name.endswith("_info") and not is_info:
        yield Finding("_info is for a metric whose value is always 1", "use another word, or make it an Info")


def check_help_of_name(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find a help text that only repeats the name."""
    del others
    if subject.help is not None and _simplify(subject.help) in {
        _simplify(subject.name),
        _simplify(subject.name.removesuffix("_total")),
        _simplify(subject.name.removesuffix("_info")),
    }:
        yield Finding("the help text only repeats the name", "say what is measured, and in which unit")


def check_copied_help(subject: Subject, others: Others) -> Iterator[Finding]:
    """Find a help text that a metric before this one has as well."""
    if subject.help is None or subject.name.endswith("_created"):
        return
    first = others.first_by_help.get(subject.help_key, subject.name)
    if first != subject.name:
        yield Finding(f"its help text is that of {first!r} too", "say how the two differ")


def _list_later_words(name: str) -> list[str]:
    """Return the words behind the first one, in lower case: a unit or a type does not stand alone."""
    return name.lower().split("_")[1:]


def _replace_word(name: str, word: str, better: str) -> str:
    return "_".join(better if part == word else part for part in name.split("_"))


def _simplify(text: str) -> str:
    return re.sub(r"\W|_", "", text).lower()
