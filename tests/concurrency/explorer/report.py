"""What an exploration has found, in groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.concurrency.explorer.cases import Case
from tests.concurrency.explorer.engine import Interleaving

__all__ = ("Report", "Violation")

_LONGEST_LINE = 600


class Violation(NamedTuple):
    """Interleavings of one pair that break the same promise."""

    storage: str
    setting: str
    a: str
    b: str
    mode: str
    kind: str


@dataclass
class Report:
    """The numbers of interleavings and of violations, with the first place of each violation."""

    interleavings: int = 0
    undeliverable: int = 0
    skipped: int = 0
    seconds: float = 0.0
    counts: Counter[Violation] = field(default_factory=Counter)
    first: dict[Violation, str] = field(default_factory=dict)

    def note(self, case: Case, mode: str, number: int, found: Interleaving) -> None:
        """Count an interleaving, and a violation for each kind of problem in it."""
        if found.position is None:
            return
        self.interleavings += 1
        self.undeliverable += found.is_undeliverable
        for kind, detail in dict(found.problems).items():
            self.add(case, mode, kind, f"{number}, {found.position}: {detail}")

    def add(self, case: Case, mode: str, kind: str, place: str) -> None:
        """Count a violation."""
        violation = Violation(case.storage, case.setting.name, case.a, case.b, mode, kind)
        self.counts[violation] += 1
        self.first.setdefault(violation, place)

    def count_kinds(self) -> dict[str, int]:
        """Return the number of violations of each kind."""
        kinds: Counter[str] = Counter()
        for violation, count in self.counts.items():
            kinds[violation.kind] += count
        return dict(sorted(kinds.items()))

    def list_lines(self) -> Iterator[str]:
        """Yield a line for each group, sorted."""
        for violation in sorted(self.counts):
            count, first = self.counts[violation], self.first[violation]
            yield f"{count:6d}  {' | '.join(violation)} | first at {first}"[:_LONGEST_LINE]
