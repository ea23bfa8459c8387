"""Text to families: readers of both formats, for tests, for merging, and for what others have written.

*Rules.* Whatever the text is, nothing but `ParseError` is raised, at the latest when the faulty line is reached. What
the encoders write for a family that a format can hold comes back equal to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import final

from asyncmetrics.errors import DefinitionError, ParseError
from asyncmetrics.formats._rules import SUFFIXES, UNITLESS, FamilyRules
from asyncmetrics.formats._samples import NAME, OPENMETRICS, PROMETHEUS, read_sample, unescape, unquote
from asyncmetrics.model.family import Metric
from asyncmetrics.model.samples import Sample

__all__ = ("parse_openmetrics", "parse_prometheus")

_TEXT_METADATA = re.compile(rf"[ \t]*#[ \t]+(HELP|TYPE)[ \t]+({NAME})(?:[ \t](.*))?")
_TEXT_KEYWORD = re.compile(r"[ \t]*#[ \t]+(HELP|TYPE)(?![^ \t])")
_TEXT_ESCAPED = re.compile(r"\\([\\n])")
_TEXT_TYPES = {
    "counter": ("", "_total"),
    "gauge": ("",),
    "summary": ("", "_count", "_sum"),
    "histogram": ("_bucket", "_count", "_sum"),
    "untyped": ("",),
}
_METADATA = re.compile(rf"# (HELP|TYPE|UNIT) ({NAME})(?: (.*))?")
_ALL_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)


@final
class _Open:
    """A family whose lines are being read: ``metadata`` by keyword, and the samples so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.metadata: dict[str, str] = {}
        self.samples: list[Sample] = []

    def metric(self, name: str, kind: str) -> Metric:
        metric = Metric(name, self.metadata.get("HELP", ""), kind, self.metadata.get("UNIT", ""))
        metric.samples = self.samples
        return metric

    def add(self, keyword: str, text: str) -> str:
        """Keep one line of metadata, and return what is wrong with it."""
        if self.samples:
            return f"{keyword} has to come before the samples of its family"
        if keyword in self.metadata:
            return f"a second {keyword} for {self.name!r}"
        self.metadata[keyword] = text
        return ""


def parse_prometheus(text: str) -> Iterator[Metric]:
    """Yield the families of a text in the format 0.0.4 or 1.0.0.

    Timestamps become seconds. A counter's family is called without its ``_total``. Samples without TYPE and HELP
    become families of the type ``unknown``. Raises `ParseError`.
    """
    current: _Open | None = None
    for number, line in enumerate(text.split("\n"), 1):
        name, addition = _prometheus_line(line, number)
        if addition is None:
            continue
        if current is None or not _belongs(name, current, isinstance(addition, Sample)):
            if current is not None:
                yield _prometheus_metric(current)
            current = _Open(name)
        if isinstance(addition, Sample):
            current.samples.append(addition)
        elif problem := current.add(*addition):
            raise ParseError(problem, number, line)
    if current is not None:
        yield _prometheus_metric(current)


def _belongs(name: str, family: _Open, sample: bool) -> bool:
    if not sample:
        return name == family.name
    return name in {family.name + suffix for suffix in _TEXT_TYPES[family.metadata.get("TYPE", "untyped")]}


def _prometheus_line(line: str, number: int) -> tuple[str, Sample | tuple[str, str] | None]:
    """Return the name that a line is about, and its sample or its metadata; None for blank lines and comments."""
    if not line.strip(" \t"):
        return "", None
    if not line.lstrip(" \t").startswith("#"):
        sample = read_sample(line, number, PROMETHEUS)
        return _checked(sample.name, number, line), sample
    found = _TEXT_METADATA.fullmatch(line)
    if found is None:
        if _TEXT_KEYWORD.match(line):
            raise ParseError("expected '# HELP name text' or '# TYPE name type'", number, line)
        return "", None
    keyword, name, rest = found[1], _checked(unquote(found[2]), number, line), found[3] or ""
    if keyword == "HELP":
        return name, (keyword, _TEXT_ESCAPED.sub(lambda escape: "\n" if escape[1] == "n" else "\\", rest))
    kind = rest.strip(" \t")
    if kind not in _TEXT_TYPES:
        raise ParseError(f"expected a type out of {tuple(_TEXT_TYPES)}, got {kind!r}", number, line)
    return name, (keyword, kind)


def _prometheus_metric(family: _Open) -> Metric:
    kind = family.metadata.get("TYPE", "untyped")
    shortened = kind == "counter" and family.name != "_total"
    return family.metric(family.name.removesuffix("_total") if shortened else family.name, kind)


def _checked(name: str, number: int, line: str) -> str:
    """Return ``name`` if a family may be called so."""
    try:
        return Metric(name, "", "unknown").name
    except DefinitionError as error:
        raise ParseError(error.problem, number, line) from None


def parse_openmetrics(text: str) -> Iterator[Metric]:
    """Yield the families of a text in the format OpenMetrics 1.0, holding it to every rule of that format.

    A timestamp with nine decimals becomes a `Timestamp`, any other a float. Raises `ParseError`.
    """
    lines = text.removesuffix("\n").split("\n")
    if lines[-1] != "# EOF":
        raise ParseError("the last line has to be '# EOF'", len(lines), lines[-1])
    reading = _OpenMetrics()
    for number, line in enumerate(lines[:-1], 1):
        done = reading.line(number, line)
        if done is not None:
            yield done
    last = reading.finished()
    if last is not None:
        yield last


@final
class _OpenMetrics:
    """The state between two lines: the open family, its rules, and the names that are taken."""

    def __init__(self) -> None:
        self._family: _Open | None = None
        self._rules: FamilyRules | None = None
        self._taken: set[str] = set()
        self._number = 0
        self._line = ""

    def line(self, number: int, line: str) -> Metric | None:
        """Read one line, and return the family that it ends, if it does."""
        found = _METADATA.fullmatch(line)
        if found is None and line.startswith("#"):
            raise ParseError("expected '# HELP', '# TYPE', '# UNIT' or, as the last line, '# EOF'", number, line)
        done = self._metadata(number, line, *found.groups("")) if found else self._sample(number, line)
        self._number, self._line = number, line
        return done

    def finished(self) -> Metric | None:
        """Return the family that is complete now, and take its names."""
        family = self._family
        if family is None:
            return None
        kind = self._kind(family)
        self._hold(self._rules.end() if self._rules else "")
        self._hold(self._taken_by(family, kind) or _wrong_unit(family, kind))
        self._taken.update(family.name + suffix for suffix in ("", *SUFFIXES[kind]))
        self._family = self._rules = None
        return family.metric(family.name, kind)

    def _kind(self, family: _Open) -> str:
        return family.metadata.get("TYPE", "unknown")

    def _hold(self, problem: str) -> None:
        """Raise what is wrong with all that came before, at its last line."""
        if problem:
            raise ParseError(problem, self._number, self._line)

    def _taken_by(self, family: _Open, kind: str) -> str:
        clashes = sorted(self._taken.intersection(family.name + suffix for suffix in ("", *SUFFIXES[kind])))
        return f"{', '.join(clashes)} has been there before: the lines of a family stand together" if clashes else ""

    def _metadata(self, number: int, line: str, keyword: str, written: str, rest: str) -> Metric | None:
        name = _checked(unquote(written), number, line)
        if keyword == "TYPE" and rest not in SUFFIXES:
            raise ParseError(f"expected a type out of {tuple(SUFFIXES)}, got {rest!r}", number, line)
        done = None
        if self._family is None or self._family.name != name:
            done = self.finished()
            self._family = _Open(name)
        assert self._family is not None
        if problem := self._family.add(keyword, unescape(rest) if keyword == "HELP" else rest):
            raise ParseError(problem, number, line)
        return done

    def _sample(self, number: int, line: str) -> Metric | None:
        if not line:
            raise ParseError("OpenMetrics has no blank lines", number, line)
        sample = read_sample(line, number, OPENMETRICS)
        name = _checked(sample.name, number, line)
        done = None
        if self._family is None or not self._is_of(self._family, name, number, line):
            done = self.finished()
            self._family = _Open(name)
        assert self._family is not None
        if self._rules is None:
            self._rules = FamilyRules(self._family.name, self._kind(self._family))
        if problem := self._rules.sample(sample):
            raise ParseError(problem, number, line)
        self._family.samples.append(sample)
        return done

    def _is_of(self, family: _Open, name: str, number: int, line: str) -> bool:
        kind = self._kind(family)
        if name in {family.name + suffix for suffix in SUFFIXES[kind]}:
            return True
        if name in {family.name + suffix for suffix in _ALL_SUFFIXES} and family.metadata:
            raise ParseError(f"no {kind} has a sample called {name!r}", number, line)
        return False


def _wrong_unit(family: _Open, kind: str) -> str:
    unit = family.metadata.get("UNIT", "")
    if unit and kind in UNITLESS:
        return f"the type {kind} has no unit"
    return (
        f"the name {family.name!r} has to end with its unit {unit!r}"
        if unit and not family.name.endswith(f"_{unit}")
        else ""
    )
