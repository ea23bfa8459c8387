"""What all interleavings of an exploration share: the threads, and what is counted or computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.concurrency.explorer.cases import Case
from tests.concurrency.explorer.model import list_outcomes
from tests.concurrency.explorer.operations import Operation
from tests.concurrency.explorer.threads import Partner
from tests.concurrency.explorer.tracing import Scope, Tracer
from tests.concurrency.explorer.worlds import Clock, Stuck
from tests.patience import PATIENCE_SECONDS

__all__ = ("Runner", "run")

_PAUSE_SECONDS = 0.003
_SEEDS = 4000
_RAISING = frozenset({"raise", "raise, again", "exit", "exit, again"})


def run(operation: Operation, world: Any, name: str) -> None:
    """Run an operation on a world."""
    for _ in operation(world, name):
        pass


class Runner:
    """The threads of interleavings, the numbers of points, and the outcomes that are allowed. One thread uses it."""

    def __init__(self, scope: Scope, clock: Clock, patience: float = PATIENCE_SECONDS) -> None:
        self.scope = scope
        self.clock = clock
        self._patience = patience
        self._partner = Partner()
        self._reader = Partner()
        self._counts: dict[tuple[str, str, str, str], int] = {}
        self._outcomes: dict[tuple[str, str, str, str], frozenset[Any]] = {}

    def make_tracer(self, mode: str) -> Tracer:
        """Return a tracer that stops at the points of a mode."""
        return Tracer(self.scope, "raises" if mode in _RAISING else "stops")

    def count_ways(self, case: Case, mode: str) -> int:
        """Return the number of ways to interrupt A: of its points, times those of what is stopped as well."""
        if mode == "switches":
            return _SEEDS
        return self._count(case, mode, case.a) * self.count_second(case, mode)

    def count_second(self, case: Case, mode: str) -> int:
        """Return the number of points of what is stopped besides A: of a reading, of B, or 1 if there is none."""
        match mode:
            case "reading":
                return self._count(case, mode, "")
            case "crossed":
                return self._count(case, mode, case.b)
            case _:
                return 1

    def count_all(self, case: Case) -> int:
        """Return the number of points of A, B and a reading."""
        return sum(self._count(case, "switches", operation) for operation in (case.a, case.b, ""))

    def _count(self, case: Case, mode: str, operation: str) -> int:
        """Return the number of points of an operation, or of a reading if it is empty."""
        key = case.storage, case.setting.name, operation, "raises" if mode in _RAISING else "stops"
        if key not in self._counts:
            tracer = self.make_tracer(mode)
            for _ in range(2):  # the first one fills caches
                world = case.setting.make_world(case.storage, self.clock)
                steps = case.setting.get_operation(operation) if operation else None
                tracer.run(lambda world=world, steps=steps: run(steps, world, "A") if steps else world.read_quietly())
                world.close()
            self._counts[key] = tracer.count
        return self._counts[key]

    def list_allowed(self, case: Case, way: str) -> frozenset[Any]:
        """Return the outcomes that a sequential order allows."""
        key = (case.setting.name, case.a, case.b, way)
        if key not in self._outcomes:
            a, b = case.setting.get_operation(case.a), case.setting.get_operation(case.b)
            self._outcomes[key] = list_outcomes(case.setting.make_model, a, b, way)
        return self._outcomes[key]

    def begin_elsewhere(self, work: Callable[[], None]) -> None:
        """Begin to run ``work`` in the partner's thread."""
        self._partner.start(work)

    def run_together(self, first: Callable[[], None], others: Sequence[Callable[[], None]]) -> None:
        """Run ``first`` in this thread and two ``others`` elsewhere. Raises `Stuck` if they do not end."""
        partners = self._partner, self._reader
        for partner, work in zip(partners, others, strict=True):
            partner.start(work)
        first()
        if not all(partner.wait(self._patience) for partner in partners):
            self._partner, self._reader = Partner(), Partner()
            raise Stuck

    def has_partner_ended_soon(self) -> bool:
        """Wait for the partner's thread for a moment, and return whether it has ended its work."""
        return self._partner.wait(_PAUSE_SECONDS)

    def await_partner(self) -> bool:
        """Wait for the partner's thread; replace it if it hangs."""
        if self._partner.wait(self._patience):
            return True
        self._partner = Partner()
        return False

    def run_elsewhere(self, work: Callable[[], None]) -> None:
        """Run ``work`` in the partner's thread to its end."""
        self._partner.start(work)
        if not self.await_partner():
            raise Stuck

    def end(self) -> None:
        """End the threads."""
        self._partner.end()
        self._reader.end()
