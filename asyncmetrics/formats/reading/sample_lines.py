"""Reads one sample line, in either text format: the name, labels, value, timestamp and exemplar.

The formats differ in blanks, a comma before ``}``, the unit of timestamps, and exemplars: a `Dialect` holds the
patterns for these. All else is one grammar.
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
    r"""Undo the escapes ``\\``, ``\n`` and ``\"``. A backslash before any other character stays."""
    return _ESCAPED.sub(lambda escape: "\n" if escape[1] == "n" else escape[1], text)


def unquote(name: str) -> str:
    """Return a name without quotes and escapes, if it has any."""
    return unescape(name[1:-1]) if name.startswith('"') else name


def _parse_milliseconds(text: str) -> float | None:
    return int(text) / 1000 if _MILLISECONDS.fullmatch(text) else None


def _parse_seconds(text: str) -> When:
    """Return a `Timestamp` for nine decimals, else a float: `encode_openmetrics` writes them in this way."""
    exact = _NANOSECONDS.fullmatch(text)
    if exact and not text.startswith("-0."):  # the sign of a Timestamp is that of its seconds
        return Timestamp(int(exact[1]), int(exact[2]))
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
        self.equals = re.compile(rf"{blank}={blank}")
        self.gap = re.compile(gap)
        self.end = re.compile(rf"{blank}\Z")
        self.parse_timestamp = parse_timestamp
        self.trailing_comma = trailing_comma
        self.exemplar = re.compile(r" # \{" if exemplars else r"(?!)")  # (?!) never matches


PROMETHEUS = Dialect("[ \t]*", "[ \t]+|(?<=\\})", _parse_milliseconds, trailing_comma=True, exemplars=False)
OPENMETRICS = Dialect("", " ", _parse_seconds, trailing_comma=False, exemplars=True)


class _Labels(NamedTuple):
    metric: str
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
        """Read from behind an opening brace to the closing one. A metric name in quotes can come first."""
        metric = ""
        labels: dict[str, str] = {}
        first = True
        while self.skip(self.dialect.close) is None:
            if not first:
                self.expect(self.dialect.comma, "',' or '}'")
                if self.dialect.trailing_comma and self.skip(self.dialect.close) is not None:
                    break
            name = self.expect(_LABEL_NAME, "a label name")
            if first and name.startswith('"') and self.skip(self.dialect.equals) is None:
                metric = unquote(name)
            else:
                has_equals = first and name.startswith('"')  # the test for a metric name has skipped it
                self._read_label_value(unquote(name), labels, has_equals=has_equals)
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
        if metric:
            raise self.make_error("an exemplar has no name, only labels")
        self.expect(self.dialect.gap, "a blank")
        return Exemplar(labels, self.read_value(), self.read_timestamp())


def read_sample(line: str, number: int, dialect: Dialect) -> Sample:
    """Return the sample in line ``number``, or raise `ParseError`."""
    reader = _Reader(line, number, dialect)
    reader.skip(dialect.start)
    name = reader.skip(_METRIC_NAME) or ""
    quoted, labels = reader.read_labels() if reader.skip(dialect.open) is not None else _Labels("", {})
    if bool(name) is bool(quoted):
        raise reader.make_error("expected one metric name, before the labels or in quotes as the first of them")
    reader.expect(dialect.gap, "a blank")
    sample = Sample(name or quoted, labels, reader.read_value(), reader.read_timestamp(), reader.read_exemplar())
    reader.expect(dialect.end, "the end of the line")
    return sample
