"""What is wrong with a text in the format 0.0.4 that the reader accepts: the rules that it does not check.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details. A Prometheus server refuses a text for
some of them, promtool for others, and other readers lose samples.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from math import inf, isnan
from typing import NamedTuple, TypeAlias, final

from asyncmetrics.formats.numbers import parse_bound
from asyncmetrics.formats.reading.sample_lines import NAME, unquote
from asyncmetrics.formats.reading.text import METADATA, TextLines
from asyncmetrics.model.samples import Sample

__all__ = ("TextProblem", "find_text_problems")

_ESCAPE = re.compile(r"\\(.?)")
_COMMENT = re.compile(rf"[ \t]*#(HELP|TYPE)[ \t]+({NAME})(?:[ \t].*)?")  # promtool reads it as if it had the blank
_ONLY_COMMA = re.compile(r'[^{"]*\{[ \t]*,')
_OWN_LABELS = {"histogram": "le", "summary": "quantile"}
_Labels: TypeAlias = frozenset[tuple[str, str]]


@final
class TextProblem(NamedTuple):
    """A broken rule: the number of the line, the name of the family, what is wrong, and the line itself."""

    line_number: int
    metric: str
    problem: str
    line: str


def find_text_problems(lines: TextLines) -> list[TextProblem]:
    """Return the rules that a text breaks, in the order of its lines."""
    texts = lines.text.split("\n")
    checker = _Checker(lines)
    found = [
        TextProblem(number, family, problem, texts[number - 1])
        for number, name, sample in lines.lines
        for family, problem in checker.check_line(texts[number - 1], number, name, sample)
    ]
    found += _find_comments(texts)
    for number, family, problem in checker.check_histograms():
        found.append(TextProblem(number, family, problem, texts[number - 1]))
    if texts[-1].strip():
        last = lines.lines[-1][1] if lines.lines else ""
        found.append(TextProblem(len(texts), last, "the last line has to end with a line feed", texts[-1]))
    return sorted(found)


class _Bucket(NamedTuple):
    number: int
    bound: float
    value: float


@final
class _Checker:
    """The state between two lines."""

    def __init__(self, lines: TextLines) -> None:
        self._lines = lines
        self._keywords: set[tuple[str, str]] = set()
        self._open = ""
        self._closed: set[str] = set()
        self._sampled: set[str] = set()
        self._series: dict[tuple[str, _Labels], int] = {}
        self._buckets: dict[tuple[str, _Labels], list[_Bucket]] = {}
        self._counts: dict[tuple[str, _Labels], float] = {}

    def check_line(self, line: str, number: int, name: str, sample: Sample | str) -> Iterator[tuple[str, str]]:
        """Yield the family and the problem for each rule that a line breaks."""
        if isinstance(sample, str):
            family, problems = name, self._check_metadata(line, name, sample)
        else:
            family = self._lines.find_family(name)[0]
            problems = self._check_sample(line, number, family, sample)
        for problem in (self._check_group(family), *problems):
            if problem:
                yield family, problem

    def _check_group(self, family: str) -> str:
        if family == self._open:
            return ""
        self._closed.add(self._open)
        self._open = family
        if family not in self._closed:
            return ""
        self._closed.discard(family)  # one problem for each interruption
        return f"the lines of {family!r} have to stand together"

    def _check_metadata(self, line: str, name: str, keyword: str) -> Iterator[str]:
        if (name, keyword) in self._keywords:
            yield f"a second {keyword} for {name!r}"
        elif keyword == "TYPE" and name in self._sampled:
            yield f"the TYPE of {name!r} comes after its samples"
        self._keywords.add((name, keyword))
        match = METADATA.fullmatch(line)
        if keyword == "HELP" and match is not None:
            yield _find_wrong_escape(match[3] or "", "\\n")
        elif match is not None and match[3] != match[3].strip(" \t"):
            yield "a Prometheus server refuses a TYPE with a blank too many"

    def _check_sample(self, line: str, number: int, family: str, sample: Sample) -> Iterator[str]:
        yield _find_wrong_escape(line, '\\n"')
        if line[0] in " \t":
            yield "a Prometheus server (2.42) refuses a sample with a blank before its name"
        if _ONLY_COMMA.match(line):
            yield "a Prometheus server refuses a comma without a label before it"
        self._sampled |= {family, sample.name}
        series = frozenset((label, value) for label, value in sample.labels.items() if value)
        first = self._series.setdefault((sample.name, series), number)
        if first != number:
            yield f"the series occurs twice, first in line {first}"
        kind = self._lines.get_type(family)
        if kind == "counter" and not sample.value >= 0:
            yield "a counter can be neither negative nor NaN"
        own = _OWN_LABELS.get(kind)
        if own is None:
            return
        child = (family, frozenset(item for item in series if item[0] != own))
        bound = parse_bound(sample.labels.get(own, ""))
        if own in sample.labels and (bound is None or isnan(bound)):
            yield f"the label {own} of a {kind} has to be a number, got {sample.labels[own]!r}"
        elif sample.name == f"{family}_bucket" and bound is None:
            yield "a bucket needs the label le"
        elif sample.name == f"{family}_bucket" and bound is not None:
            self._buckets.setdefault(child, []).append(_Bucket(number, bound, sample.value))
        elif sample.name == f"{family}_count" and kind == "histogram":
            self._counts.setdefault(child, sample.value)

    def check_histograms(self) -> Iterator[tuple[int, str, str]]:
        """Yield the line, the family and the problem of each histogram whose buckets do not fit together."""
        for (family, labels), buckets in self._buckets.items():
            problem = _find_bucket_problem(buckets, self._counts.get((family, labels)))
            if problem:
                yield buckets[0].number, family, problem


def _find_comments(texts: list[str]) -> Iterator[TextProblem]:
    for number, line in enumerate(texts, 1):
        match = _COMMENT.fullmatch(line)
        if match is not None:
            problem = f"'#{match[1]}' begins a comment for a Prometheus server: write '# {match[1]}'"
            yield TextProblem(number, unquote(match[2]), problem, line)


def _find_wrong_escape(text: str, allowed: str) -> str:
    wrong = [escape[0] for escape in _ESCAPE.finditer(text) if not escape[1] or escape[1] not in allowed]
    return f"{wrong[0]!r} is no escape: write a backslash as two" if wrong else ""


def _find_bucket_problem(buckets: list[_Bucket], count: float | None) -> str:
    if buckets[-1].bound != inf:
        return "the last bucket of each histogram has to be +Inf"
    for bucket, after in pairwise(buckets):
        if not bucket.bound < after.bound:
            return "buckets have to stand in increasing order of le"
        if not bucket.value <= after.value:
            return "buckets have to be cumulative: none is smaller than the one before it"
    if count is not None and count != buckets[-1].value and not (isnan(count) and isnan(buckets[-1].value)):
        return "_count has to equal the +Inf bucket"
    return ""
