"""From text in the OpenMetrics format 1.0.0 to families, with every rule of that format checked.

*Rules.*

* Raise nothing but `ParseError`, whatever the text is, and at the latest when the wrong line is read.
* Return a family equal to the one that `encode_openmetrics` has written, if the format can hold it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import final

from asyncmetrics.errors import ParseError
from asyncmetrics.formats.reading.family_rules import FamilyRules
from asyncmetrics.formats.reading.open_family import OpenFamily, check_family_name
from asyncmetrics.formats.reading.sample_lines import NAME, OPENMETRICS, read_sample, unescape, unquote
from asyncmetrics.model.family import Metric
from asyncmetrics.model.kinds import KINDS

__all__ = ("parse_openmetrics",)

_METADATA = re.compile(rf"# (HELP|TYPE|UNIT) ({NAME}) (.*)")


def parse_openmetrics(text: str) -> Iterator[Metric]:
    """Yield the families of a text in the format OpenMetrics 1.0.

    A timestamp becomes a `Timestamp`, cut off after nine decimals, or a float if it has an exponent. A HELP loses the
    blanks before it. Of two samples of one series with the same timestamp the first stays. Raises `ParseError` for a
    text that breaks a rule of the format.
    """
    lines = text.removesuffix("\n").split("\n")
    if lines[-1] != "# EOF":
        raise ParseError("the last line has to be '# EOF'", len(lines), lines[-1])
    reader = _Reader()
    for number, line in enumerate(lines[:-1], 1):
        family = reader.read_line(number, line)
        if family is not None:
            yield family
    last = reader.close_family()
    if last is not None:
        yield last


@final
class _Reader:
    """The state between two lines: the open family, its rules, and the names of the families before it."""

    def __init__(self) -> None:
        self._family: OpenFamily | None = None
        self._rules: FamilyRules | None = None
        self._names: set[str] = set()
        self._number = 0
        self._line = ""

    def read_line(self, number: int, line: str) -> Metric | None:
        """Read one line. Return the family that ends before it, if one does."""
        match = _METADATA.fullmatch(line)
        if match is None and line.startswith("#"):
            expected = (
                "expected '# HELP name text', '# TYPE name type', '# UNIT name unit' or, as the last line, '# EOF'"
            )
            raise ParseError(expected, number, line)
        family = self._read_metadata(number, line, *match.groups()) if match else self._read_sample(number, line)
        self._number, self._line = number, line
        return family

    def close_family(self) -> Metric | None:
        """Return the open family, which is complete now, and reserve its names. Return None if none is open."""
        family = self._family
        if family is None:
            return None
        kind = _get_kind(family)
        names = {family.name + suffix for suffix in ("", *KINDS[kind].suffixes)}
        problem = self._rules.check_end() if self._rules else ""
        problem = problem or self._find_clash(names) or _find_unit_problem(family, kind)
        if problem:
            raise ParseError(problem, self._number, self._line)  # the last line of the family
        self._names |= names
        self._family = self._rules = None
        return family.build_metric(family.name, kind)

    def _find_clash(self, names: set[str]) -> str:
        clashes = sorted(self._names & names)
        return f"{', '.join(clashes)} occurs twice: the lines of a family are contiguous" if clashes else ""

    def _read_metadata(self, number: int, line: str, keyword: str, quoted: str, rest: str) -> Metric | None:
        name = check_family_name(unquote(quoted), number, line)
        if keyword == "TYPE" and rest not in KINDS:
            raise ParseError(f"expected one of the types {tuple(KINDS)}, got {rest!r}", number, line)
        closed = None
        if self._family is None or self._family.name != name:
            closed = self.close_family()
            self._family = OpenFamily(name)
        assert self._family is not None
        if problem := self._family.add_metadata(keyword, unescape(rest.lstrip(" ")) if keyword == "HELP" else rest):
            raise ParseError(problem, number, line)
        return closed

    def _read_sample(self, number: int, line: str) -> Metric | None:
        if not line:
            raise ParseError("OpenMetrics has no blank lines", number, line)
        sample = read_sample(line, number, OPENMETRICS)
        name = check_family_name(sample.name, number, line)
        closed = None
        if self._family is None or not _is_member(self._family, name, number, line):
            closed = self.close_family()
            self._family = OpenFamily(name)
        assert self._family is not None
        if self._rules is None:
            self._rules = FamilyRules(self._family.name, _get_kind(self._family))
        if problem := self._rules.check_sample(sample):
            raise ParseError(problem, number, line)
        if not self._rules.is_repeat:
            self._family.samples.append(sample)
        return closed


def _get_kind(family: OpenFamily) -> str:
    return family.metadata.get("TYPE", "unknown")


def _is_member(family: OpenFamily, name: str, number: int, line: str) -> bool:
    kind = _get_kind(family)
    if name in {family.name + suffix for suffix in KINDS[kind].suffixes}:
        return True
    if name == family.name:  # which therefore cannot be the name of another family
        raise ParseError(f"a {kind} has no sample {name!r}", number, line)
    return False


def _find_unit_problem(family: OpenFamily, kind: str) -> str:
    unit = family.metadata.get("UNIT", "")
    if unit and not KINDS[kind].has_unit:
        return f"the type {kind} has no unit"
    if unit and not family.name.endswith(f"_{unit}"):
        return f"the name {family.name!r} has to end with its unit {unit!r}"
    return ""
