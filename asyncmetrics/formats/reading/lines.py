"""One sample line, read: the name, labels, value, timestamp and exemplar, in either text format.

*Theory of operation.* Both formats share their grammar but for blanks, a comma before ``}``, the unit of timestamps,
and exemplars; a `Dialect` holds the patterns that differ. A `Reader` walks along one line and knows where it is when
something is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple, final

from asyncmetrics.errors import ParseError
from asyncmetrics.formats.numbers import parse_number
from asyncmetrics.model.samples import Exemplar, Sample, Timestamp

__all__ = ("NAME", "OPENMETRICS", "PROMETHEUS", "Dialect", "read_sample", "unescape", "unquote")

_QUOTED_TEXT = r'"[^"\\]*(?:\\.[^"\\]*)*"'
NAME = rf"[a-zA-Z_:][a-zA-Z0-9_:]*|{_QUOTED_TEXT}"
_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME = re.compile(rf"[a-zA-Z_][a-zA-Z0-9_]*|{_QUOTED_TEXT}")
_QUOTED = re.compile(_QUOTED_TEXT)
_WORD = re.compile(r"[^ \t]+")
_ESCAPED = re.compile(r'\\([\\n"])')
_MILLISECONDS = re.compile(r"-?[0-9]{1,18}")
_NANOSECONDS = re.compile(r"(-?[0-9]{1,18})\.([0-9]{9})")

When = float | Timestamp | None


def unescape(text: str) -> str:
    r"""Undo the escapes ``\\``, ``\n`` and ``\"``; a backslash before anything else stands for itself."""
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], text)


def unquote(name: str) -> str:
    """Return a name without the quotes and escapes that it may be written in."""
    return unescape(name[1:-1]) if name.startswith('"') else name


def _milliseconds(text: str) -> float | None:
    return int(text) / 1000 if _MILLISECONDS.fullmatch(text) else None


def _seconds(text: str) -> When:
    """Read exactly nine decimals as a `Timestamp`, all else as a float: the encoder writes them so."""
    exact = _NANOSECONDS.fullmatch(text)
    if exact and not text.startswith("-0."):  # a Timestamp's sign is that of its seconds
        return Timestamp(int(exact[1]), int(exact[2]))
    value = parse_number(text)
    return value if value is not None and value - value == 0.0 else None


@final
class Dialect:
    """What tells the sample lines of one format from those of the other."""

    def __init__(
        self, blank: str, gap: str, when: Callable[[str], When], *, trailing_comma: bool, exemplars: bool
    ) -> None:
        self.start = re.compile(blank)
        self.open = re.compile(rf"{blank}\{{{blank}")
        self.close = re.compile(rf"{blank}\}}")
        self.comma = re.compile(rf"{blank},{blank}")
        self.equals = re.compile(rf"{blank}={blank}")
        self.gap = re.compile(gap)
        self.end = re.compile(rf"{blank}\Z")
        self.when = when
        self.trailing_comma = trailing_comma
        self.exemplar = re.compile(r" # \{" if exemplars else r"(?!)")


PROMETHEUS = Dialect("[ \t]*", "[ \t]+|(?<=\\})", _milliseconds, trailing_comma=True, exemplars=False)
OPENMETRICS = Dialect("", " ", _seconds, trailing_comma=False, exemplars=True)


class _Labels(NamedTuple):
    metric: str
    labels: dict[str, str]


@final
class _Reader:
    """A place in one line."""

    __slots__ = ("dialect", "line", "number", "position")

    def __init__(self, line: str, number: int, dialect: Dialect) -> None:
        self.line = line
        self.number = number
        self.dialect = dialect
        self.position = 0

    def take(self, pattern: re.Pattern[str]) -> str | None:
        """Step over ``pattern`` and return what it matched, or None and stay."""
        found = pattern.match(self.line, self.position)
        if found is None:
            return None
        self.position = found.end()
        return found[0]

    def need(self, pattern: re.Pattern[str], expected: str) -> str:
        """Step over ``pattern``, which has to be here."""
        found = self.take(pattern)
        if found is None:
            raise self.fault(f"expected {expected} at character {self.position + 1}")
        return found

    def fault(self, problem: str) -> ParseError:
        """Make the error for this line."""
        return ParseError(problem, self.number, self.line)

    def labels(self) -> _Labels:
        """Read what follows an opening brace, through the closing one; a metric name in quotes comes first."""
        metric = ""
        labels: dict[str, str] = {}
        first = True
        while self.take(self.dialect.close) is None:
            if not first:
                self.need(self.dialect.comma, "',' or '}'")
                if self.dialect.trailing_comma and self.take(self.dialect.close) is not None:
                    break
            name = self.need(_LABEL_NAME, "a label name")
            if first and name.startswith('"') and self.take(self.dialect.equals) is None:
                metric = unquote(name)
            else:
                self._value(unquote(name), labels, named=first and name.startswith('"'))
            first = False
        return _Labels(metric, labels)

    def _value(self, name: str, labels: dict[str, str], *, named: bool) -> None:
        if not named:
            self.need(self.dialect.equals, "'='")
        value = unquote(self.need(_QUOTED, "a label value in double quotes"))
        if name == "__name__":
            raise self.fault("the name of the metric stands before its labels, not among them")
        if name in labels:
            raise self.fault(f"the label {name!r} is there twice")
        labels[name] = value

    def value(self) -> float:
        """Read a number."""
        text = self.need(_WORD, "a number")
        value = parse_number(text)
        if value is None:
            raise self.fault(f"expected a number, got {text!r}")
        return value

    def timestamp(self) -> When:
        """Read a gap and a timestamp, if they are here."""
        place = self.position
        text = self.take(self.dialect.gap) and self.take(_WORD)
        if not text or text == "#":
            self.position = place
            return None
        timestamp = self.dialect.when(text)
        if timestamp is None:
            raise self.fault(f"expected a timestamp, got {text!r}")
        return timestamp

    def exemplar(self) -> Exemplar | None:
        """Read an exemplar, if there is one."""
        if self.take(self.dialect.exemplar) is None:
            return None
        metric, labels = self.labels()
        if metric:
            raise self.fault("an exemplar has labels only, no name")
        self.need(self.dialect.gap, "a blank")
        return Exemplar(labels, self.value(), self.timestamp())


def read_sample(line: str, number: int, dialect: Dialect) -> Sample:
    """Read line ``number``, or raise `ParseError`."""
    reader = _Reader(line, number, dialect)
    reader.take(dialect.start)
    name = reader.take(_METRIC_NAME) or ""
    quoted, labels = reader.labels() if reader.take(dialect.open) is not None else _Labels("", {})
    if bool(name) is bool(quoted):
        raise reader.fault("expected one metric name, before the labels or in quotes as the first of them")
    reader.need(dialect.gap, "a blank")
    sample = Sample(name or quoted, labels, reader.value(), reader.timestamp(), reader.exemplar())
    reader.need(dialect.end, "the end of the line")
    return sample
