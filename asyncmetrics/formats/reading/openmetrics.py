"""Text to families: readers of both formats, for tests, for merging, and for what others have written.

*Rules.* Whatever the text is, nothing but `ParseError` is raised, at the latest when the faulty line is reached. What
the encoders write for a family that a format can hold comes back equal to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import final

from asyncmetrics.errors import ParseError
from asyncmetrics.formats.reading.lines import NAME, OPENMETRICS, read_sample, unescape, unquote
from asyncmetrics.formats.reading.open_family import OpenFamily, check_family_name
from asyncmetrics.formats.rules import FamilyRules
from asyncmetrics.model.family import Metric
from asyncmetrics.model.kinds import KINDS

__all__ = ("parse_openmetrics",)

_METADATA = re.compile(rf"# (HELP|TYPE|UNIT) ({NAME})(?: (.*))?")
_ALL_SUFFIXES = frozenset(suffix for kind in KINDS.values() for suffix in kind.suffixes)


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
        self._family: OpenFamily | None = None
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
        self._taken.update(family.name + suffix for suffix in ("", *KINDS[kind].suffixes))
        self._family = self._rules = None
        return family.metric(family.name, kind)

    def _kind(self, family: OpenFamily) -> str:
        return family.metadata.get("TYPE", "unknown")

    def _hold(self, problem: str) -> None:
        """Raise what is wrong with all that came before, at its last line."""
        if problem:
            raise ParseError(problem, self._number, self._line)

    def _taken_by(self, family: OpenFamily, kind: str) -> str:
        clashes = sorted(self._taken.intersection(family.name + suffix for suffix in ("", *KINDS[kind].suffixes)))
        return f"{', '.join(clashes)} has been there before: the lines of a family stand together" if clashes else ""

    def _metadata(self, number: int, line: str, keyword: str, written: str, rest: str) -> Metric | None:
        name = check_family_name(unquote(written), number, line)
        if keyword == "TYPE" and rest not in KINDS:
            raise ParseError(f"expected a type out of {tuple(KINDS)}, got {rest!r}", number, line)
        done = None
        if self._family is None or self._family.name != name:
            done = self.finished()
            self._family = OpenFamily(name)
        assert self._family is not None
        if problem := self._family.add(keyword, unescape(rest) if keyword == "HELP" else rest):
            raise ParseError(problem, number, line)
        return done

    def _sample(self, number: int, line: str) -> Metric | None:
        if not line:
            raise ParseError("OpenMetrics has no blank lines", number, line)
        sample = read_sample(line, number, OPENMETRICS)
        name = check_family_name(sample.name, number, line)
        done = None
        if self._family is None or not self._is_of(self._family, name, number, line):
            done = self.finished()
            self._family = OpenFamily(name)
        assert self._family is not None
        if self._rules is None:
            self._rules = FamilyRules(self._family.name, self._kind(self._family))
        if problem := self._rules.sample(sample):
            raise ParseError(problem, number, line)
        self._family.samples.append(sample)
        return done

    def _is_of(self, family: OpenFamily, name: str, number: int, line: str) -> bool:
        kind = self._kind(family)
        if name in {family.name + suffix for suffix in KINDS[kind].suffixes}:
            return True
        if name in {family.name + suffix for suffix in _ALL_SUFFIXES} and family.metadata:
            raise ParseError(f"no {kind} has a sample called {name!r}", number, line)
        return False


def _wrong_unit(family: OpenFamily, kind: str) -> str:
    unit = family.metadata.get("UNIT", "")
    if unit and not KINDS[kind].has_unit:
        return f"the type {kind} has no unit"
    return (
        f"the name {family.name!r} has to end with its unit {unit!r}"
        if unit and not family.name.endswith(f"_{unit}")
        else ""
    )
