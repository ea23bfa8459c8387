"""Rows of figures: their ratios, their targets, and how they are printed and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from benchmarks._measure import Figures, Outcomes

__all__ = ("OURS", "THEIRS", "Ratio", "Row", "Target", "as_json", "peer_to_us", "rows", "table")

OURS = "asyncmetrics"
THEIRS = "prometheus_client"
_TITLES = ("what", "who", "unit", "min", "median", "ratio min", "ratio median", "target")

Ratio: TypeAlias = Callable[[Mapping[str, float], str], float | None]
"""Make the ratio of one contender out of everybody's figures; None where it has none."""


@dataclass(frozen=True)
class Target:
    """What the ratio of ``who`` has to be: at least or at most ``bound``. The minimum decides: it has least noise."""

    who: str
    sign: str
    bound: float

    def met(self, ratio: float) -> bool:
        """Tell whether ``ratio`` will do."""
        return ratio >= self.bound if self.sign == "≥" else ratio <= self.bound


@dataclass(frozen=True)
class Row:
    """One contender in one discipline: ``figures`` or, in ``note``, why there are none."""

    what: str
    who: str
    unit: str
    figures: Figures | None
    ratios: Figures | None
    target: Target | None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none, or nothing to compare."""
        return self.target.met(self.ratios.minimum) if self.target and self.ratios else None

    def cells(self) -> tuple[str, ...]:
        """Return the row as it is printed."""
        if self.figures is None:
            return (self.what, self.who, self.unit, self.note, "", "", "", self._verdict())
        numbers = [f"{self.figures.minimum:,.2f}", f"{self.figures.median:,.2f}"]
        ratios = [f"{self.ratios.minimum:.2f}×", f"{self.ratios.median:.2f}×"] if self.ratios else ["", ""]
        return (
            self.what,
            self.who,
            self.unit,
            *numbers,
            *ratios,
            "; ".join(filter(None, (self._verdict(), self.note))),
        )

    def _verdict(self) -> str:
        if self.target is None:
            return ""
        verdict = {None: "not measured", True: "met", False: "not met"}[self.met]
        return f"target {self.target.sign} {self.target.bound:g}×: {verdict}"


def peer_to_us(figures: Mapping[str, float], who: str) -> float | None:
    """Return how many times ours a peer's figure is."""
    return figures[who] / figures[OURS] if who != OURS and OURS in figures else None


def rows(what: str, unit: str, outcomes: Outcomes, ratio: Ratio, target: Target | None = None) -> Iterator[Row]:
    """Yield the rows of one discipline."""
    found = {who: outcome for who, outcome in outcomes.items() if isinstance(outcome, Figures)}
    best = {who: figures.minimum for who, figures in found.items()}
    middle = {who: figures.median for who, figures in found.items()}
    for who, outcome in outcomes.items():
        own = target if target and target.who == who else None
        if not isinstance(outcome, Figures):
            yield Row(what, who, unit, None, None, own, outcome)
            continue
        low, mid = ratio(best, who), ratio(middle, who)
        yield Row(what, who, unit, outcome, Figures(low, mid) if low is not None and mid is not None else None, own)


def table(found: Iterable[Row]) -> str:
    """Return rows as text: figures to the right, and what is said once not said again."""
    lines: list[tuple[str, ...]] = [_TITLES]
    last = ""
    for row in found:
        what, *rest = row.cells()
        lines.append(("" if what == last else what, *rest))
        last = what
    widths = [max(len(line[index]) for line in lines if _counts(line, index)) for index in range(len(_TITLES))]
    return "\n".join(_line(line, widths) for line in lines)


def _counts(line: tuple[str, ...], index: int) -> bool:
    """Leave notes, which run on into the empty cells beside them, out of the width of their column."""
    return index != 3 or bool(line[4])


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    sides = (str.ljust,) * 3 + (str.rjust,) * 4 + (str.ljust,)
    padded = [side(cell, width) for side, cell, width in zip(sides, cells, widths, strict=True)]
    if not cells[4]:
        padded[3:7] = [cells[3].ljust(sum(widths[3:7]) + 2 * 3)]
    return "  ".join(padded).rstrip()


def as_json(benchmark: str, meaning: str, row: Row) -> dict[str, Any]:
    """Return a row as plain values, for charts."""
    return {"benchmark": benchmark, "ratio": meaning, **asdict(row), "met": row.met}
