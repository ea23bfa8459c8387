"""Reads one sample line, in either text format: the name, labels, value, timestamp and exemplar.

The formats differ in blanks, a comma before ``}``, the unit of timestamps, and exemplars: a `Dialect` holds the
patterns for these. All else is one grammar, in which a metric name in quotes can stand anywhere between the braces.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import isinf
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
_MILLISECONDS = re.compile(r"0*([0-9]{1,19})")
_LAST_MILLISECOND = 2**63 - 1
_DECIMAL = re.compile(r"([+-]?[0-9]{1,308})(?:\.([0-9]*))?")  # a double has at most 309 digits before its point

When = float | Timestamp | None


def unescape(text: str) -> str:
    r"""Undo the escapes ``\\``, ``\n`` and ``\"``. A backslash before any other character stays."""
    return _ESCAPED.sub(lambda escape: "\n" if escape[1] == "n" else escape[1], text)


def unquote(name: str) -> str:
    """Return a name without quotes and escapes, if it has any."""
    return unescape(name[1:-1]) if name.startswith('"') else name


def _parse_milliseconds(text: str) -> float | None:
    digits = _MILLISECONDS.fullmatch(text)  # Prometheus (2.42) gives up the whole scrape at a sign
    return int(digits[1]) / 1000 if digits and int(digits[1]) <= _LAST_MILLISECOND else None


def _parse_seconds(text: str) -> When:
    """Return a `Timestamp` for decimal digits, cut off after nine decimals, and a float for an exponent."""
    exact = _DECIMAL.fullmatch(text)
    if exact:
        seconds, nanoseconds = int(exact[1]), int((exact[2] or "")[:9].ljust(9, "0"))
        if seconds or not nanoseconds or text[0] != "-":  # the sign of a Timestamp is that of its seconds
            return Timestamp(seconds, nanoseconds)
    value = parse_number(text)
    return value if value is not None and value - value == 0.0 else None


@final
class Dialect:
    """The patterns in which the sample lines of the two formats differ.

    ``blank`` matches the optional blanks between tokens, and ``gap`` the required ones. ``parse_timestamp`` returns
    None for a text that is no timestamp.
    """

    def __init__(
        self, blank: str, gap: str, parse_timestamp: Callable[[str], When], *, trailing_comma: bool, exemplars: bool
    ) -> None:
        self.start = re.compile(blank)
        self.open = re.compile(rf"{blank}\{{{blank}")
        self.close = re.compile(rf"{blank}\}}")
        self.comma = re.compile(rf"{blank},{blank}")
        self.only_comma = re.compile(rf"{blank},(?={blank}\}})" if trailing_comma else "")
        self.equals = re.compile(rf"{blank}={blank}")
        self.gap = re.compile(gap)
        self.end = re.compile(rf"{blank}\Z")
        self.parse_timestamp = parse_timestamp
        self.trailing_comma = trailing_comma
        self.exemplar = re.compile(r" # \{" if exemplars else r"(?!)")  # (?!) never matches


PROMETHEUS = Dialect("[ \t]*", "[ \t]+|(?<=\\})", _parse_milliseconds, trailing_comma=True, exemplars=False)
OPENMETRICS = Dialect("", " ", _parse_seconds, trailing_comma=False, exemplars=True)


class _Labels(NamedTuple):
    metric: str | None
    labels: dict[str, str]


@final
class _Reader:
    """A position in one line."""

    __slots__ = ("dialect", "line", "number", "position")

    def __init__(self, line: str, number: int, dialect: Dialect) -> None:
        self.line = line
        self.number = number
        self.dialect = dialect
        self.position = 0

    def skip(self, pattern: re.Pattern[str]) -> str | None:
        """Move behind ``pattern`` and return the text that matched, or return None if it does not match here."""
        match = pattern.match(self.line, self.position)
        if match is None:
            return None
        self.position = match.end()
        return match[0]

    def expect(self, pattern: re.Pattern[str], expected: str) -> str:
        """Move behind ``pattern`` and return the text that matched, or raise `ParseError`."""
        text = self.skip(pattern)
        if text is None:
            raise self.make_error(f"expected {expected} at character {self.position + 1}")
        return text

    def make_error(self, problem: str) -> ParseError:
        """Return the error for this line."""
        return ParseError(problem, self.number, self.line)

    def read_labels(self) -> _Labels:
        """Read from behind an opening brace to the closing one. A metric name in quotes can stand among the labels."""
        metric = None
        labels: dict[str, str] = {}
        self.skip(self.dialect.only_comma)  # Prometheus refuses it; prometheus_client reads it
        first = True
        while self.skip(self.dialect.close) is None:
            if not first:
                self.expect(self.dialect.comma, "',' or '}'")
                if self.dialect.trailing_comma and self.skip(self.dialect.close) is not None:
                    break
            name = self.expect(_LABEL_NAME, "a label name")
            is_quoted = name.startswith('"')
            if not is_quoted or self.skip(self.dialect.equals) is not None:
                self._read_label_value(unquote(name), labels, has_equals=is_quoted)
            elif metric is None:
                metric = unquote(name)
            else:
                raise self.make_error("a second metric name in quotes")
            first = False
        return _Labels(metric, labels)

    def _read_label_value(self, name: str, labels: dict[str, str], *, has_equals: bool) -> None:
        if not has_equals:
            self.expect(self.dialect.equals, "'='")
        value = unquote(self.expect(_QUOTED, "a label value in double quotes"))
        if name == "__name__":
            raise self.make_error("the name of the metric comes before its labels, not among them")
        if name in labels:
            raise self.make_error(f"the label {name!r} occurs twice")
        labels[name] = value

    def read_value(self) -> float:
        """Read a number."""
        text = self.expect(_WORD, "a number")
        value = parse_number(text)
        if value is None:
            raise self.make_error(f"expected a number, got {text!r}")
        if isinf(value) and not text[-1].isalpha():  # Prometheus (2.42) gives up the whole scrape at 1e400
            raise self.make_error(f"expected a number that a double can hold, got {text!r}")
        return value

    def read_timestamp(self) -> When:
        """Read a gap and a timestamp, or return None if there is none."""
        start = self.position
        text = self.skip(self.dialect.gap) and self.skip(_WORD)
        if not text or text == "#":
            self.position = start
            return None
        timestamp = self.dialect.parse_timestamp(text)
        if timestamp is None:
            raise self.make_error(f"expected a timestamp, got {text!r}")
        return timestamp

    def read_exemplar(self) -> Exemplar | None:
        """Read an exemplar, or return None if there is none."""
        if self.skip(self.dialect.exemplar) is None:
            return None
        metric, labels = self.read_labels()
        if metric is not None:
            raise self.make_error("an exemplar has no name, only labels")
        self.expect(self.dialect.gap, "a blank")
        return Exemplar(labels, self.read_value(), self.read_timestamp())


def read_sample(line: str, number: int, dialect: Dialect) -> Sample:
    """Return the sample in line ``number``, or raise `ParseError`."""
    reader = _Reader(line, number, dialect)
    reader.skip(dialect.start)
    name = reader.skip(_METRIC_NAME)
    quoted, labels = reader.read_labels() if reader.skip(dialect.open) is not None else _Labels(None, {})
    if (name is None) is (quoted is None) or quoted == "":
        raise reader.make_error("expected one metric name, before the braces or in quotes between them")
    reader.expect(dialect.gap, "a blank")
    sample = Sample(name or quoted or "", labels, reader.read_value(), reader.read_timestamp(), reader.read_exemplar())
    reader.expect(dialect.end, "the end of the line")
    return sample
