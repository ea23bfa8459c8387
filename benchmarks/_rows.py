"""Rows of figures, their ratios and targets, and their output as a table or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from benchmarks._measure import Figures, Outcomes

__all__ = ("OURS", "THEIRS", "Ratio", "Row", "Target", "divide_by_ours", "format_table", "make_rows", "to_json")

OURS = "asyncmetrics"
THEIRS = "prometheus_client"
_TITLES = ("discipline", "contender", "unit", "min", "median", "ratio min", "ratio median", "target")

Ratio: TypeAlias = Callable[[Mapping[str, float], str], float | None]
"""Return the ratio of one contender from the figures of all contenders, or None if it has no ratio."""


@dataclass(frozen=True)
class Target:
    """The bound that the ratio of ``contender`` must reach (``≥``) or keep (``≤``).

    The ratio of the minima decides, because it has the least noise.
    """

    contender: str
    sign: str
    bound: float

    def is_met(self, ratio: float) -> bool:
        """Return whether ``ratio`` meets the target."""
        return ratio >= self.bound if self.sign == "≥" else ratio <= self.bound


@dataclass(frozen=True)
class Row:
    """One contender in one discipline, with its ``figures`` or, in ``note``, the reason why there are none."""

    discipline: str
    contender: str
    unit: str
    figures: Figures | None
    ratios: Figures | None
    target: Target | None
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None if there is no target or no ratio."""
        return self.target.is_met(self.ratios.minimum) if self.target and self.ratios else None

    def format_cells(self) -> tuple[str, ...]:
        """Return the cells of the printed row."""
        if self.figures is None:
            return (self.discipline, self.contender, self.unit, self.note, "", "", "", self._format_verdict())
        numbers = [f"{self.figures.minimum:,.2f}", f"{self.figures.median:,.2f}"]
        ratios = [f"{self.ratios.minimum:.2f}×", f"{self.ratios.median:.2f}×"] if self.ratios else ["", ""]
        return (
            self.discipline,
            self.contender,
            self.unit,
            *numbers,
            *ratios,
            "; ".join(filter(None, (self._format_verdict(), self.note))),
        )

    def _format_verdict(self) -> str:
        if self.target is None:
            return ""
        verdict = {None: "not measured", True: "met", False: "not met"}[self.is_met]
        return f"target {self.target.sign} {self.target.bound:g}×: {verdict}"


def divide_by_ours(figures: Mapping[str, float], contender: str) -> float | None:
    """Return a peer's figure divided by ours."""
    return figures[contender] / figures[OURS] if contender != OURS and OURS in figures else None


def make_rows(
    discipline: str, unit: str, outcomes: Outcomes, ratio: Ratio, target: Target | None = None
) -> Iterator[Row]:
    """Yield the rows of one discipline."""
    measured = {contender: outcome for contender, outcome in outcomes.items() if isinstance(outcome, Figures)}
    minima = {contender: figures.minimum for contender, figures in measured.items()}
    medians = {contender: figures.median for contender, figures in measured.items()}
    for contender, outcome in outcomes.items():
        own = target if target and target.contender == contender else None
        if not isinstance(outcome, Figures):
            yield Row(discipline, contender, unit, None, None, own, outcome)
            continue
        low, mid = ratio(minima, contender), ratio(medians, contender)
        yield Row(
            discipline,
            contender,
            unit,
            outcome,
            Figures(low, mid) if low is not None and mid is not None else None,
            own,
        )


def format_table(rows: Iterable[Row]) -> str:
    """Return a table of rows: figures to the right, and each discipline named once."""
    lines: list[tuple[str, ...]] = [_TITLES]
    last = ""
    for row in rows:
        discipline, *rest = row.format_cells()
        lines.append(("" if discipline == last else discipline, *rest))
        last = discipline
    widths = [max(len(line[index]) for line in lines if _has_width(line, index)) for index in range(len(_TITLES))]
    return "\n".join(_format_line(line, widths) for line in lines)


def _has_width(line: tuple[str, ...], index: int) -> bool:
    """Return whether a cell counts for the width of its column: a note does not, it runs into the empty cells."""
    return index != 3 or bool(line[4])


def _format_line(cells: tuple[str, ...], widths: list[int]) -> str:
    sides = (str.ljust,) * 3 + (str.rjust,) * 4 + (str.ljust,)
    padded = [side(cell, width) for side, cell, width in zip(sides, cells, widths, strict=True)]
    if not cells[4]:
        padded[3:7] = [cells[3].ljust(sum(widths[3:7]) + 2 * 3)]
    return "  ".join(padded).rstrip()


def to_json(benchmark: str, meaning: str, row: Row) -> dict[str, Any]:
    """Return a row as plain values, for ``scripts/charts.py``."""
    return {"benchmark": benchmark, "ratio": meaning, **asdict(row), "met": row.is_met}
