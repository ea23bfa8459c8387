"""Explore many cases: a thread runs the interleavings, and this one watches that it gets on."""

from __future__ import annotations

import gc
import logging
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import asyncmetrics
from tests.concurrency.explorer.cases import Case
from tests.concurrency.explorer.engine import Subject
from tests.concurrency.explorer.tracing import Position, Scope
from tests.concurrency.explorer.worlds import Clock
from tests.patience import PATIENCE_SECONDS

__all__ = ("HOT_FILES", "Report", "Violation", "explore")

HOT_FILES = ("storage/memory/plain.py", "storage/shared/children.py")
_MOST_DEADLOCKS = 3  # of one case; then the rest of the case is left out, since each takes the whole patience
_COLLECT_EVERY = 500  # interleavings
_FORK_EVERY = 25  # points; a fork takes 20 ms and more
_LONGEST_LINE = 360
_monotonic = time.monotonic


class Violation(NamedTuple):
    """Interleavings that break the same promise."""

    storage: str
    setting: str
    a: str
    b: str
    mode: str
    kind: str


@dataclass
class Report:
    """What was found."""

    interleavings: int = 0
    undeliverable: int = 0
    skipped: int = 0
    seconds: float = 0.0
    counts: Counter[Violation] = field(default_factory=Counter)
    first: dict[Violation, tuple[int, Position | None, str]] = field(default_factory=dict)

    def add(self, case: Case, mode: str, kind: str, number: int, position: Position | None, detail: str) -> None:
        """Count a violation."""
        violation = Violation(case.storage, case.setting.name, case.a, case.b, mode, kind)
        self.counts[violation] += 1
        self.first.setdefault(violation, (number, position, detail))

    def count_kinds(self) -> dict[str, int]:
        """Return the number of violations of each kind."""
        kinds: Counter[str] = Counter()
        for violation, count in self.counts.items():
            kinds[violation.kind] += count
        return dict(sorted(kinds.items()))

    def list_lines(self) -> Iterator[str]:
        """Yield a line for each violation, sorted."""
        for violation in sorted(self.counts):
            number, position, detail = self.first[violation]
            where = f"first at {number}, {position}: {detail}"
            yield f"{self.counts[violation]:6d}  {' | '.join(violation)} | {where}"[:_LONGEST_LINE]


@contextmanager
def _prepared(clock: Clock) -> Iterator[None]:
    """Make interleavings repeatable and quick; see the comments."""
    logger = logging.getLogger("asyncmetrics")
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", DeprecationWarning)  # os.fork with threads, from 3.12 on
        stack.enter_context(clock.installed())
        stack.callback(setattr, logger, "disabled", logger.disabled)
        logger.disabled = True
        gc.collect()
        gc.freeze()  # what there is already is not looked at again by the many collections to come
        gc.disable()  # finalisers would run at any opcode
        stack.callback(gc.unfreeze)
        stack.callback(gc.enable)
        yield


class _Explorer:
    """Runs cases in a thread of its own."""

    def __init__(self, cases: list[Case], sample: int, scope: Scope, clock: Clock, patience: float) -> None:
        self.report = Report()
        self.error: BaseException | None = None
        self.at: tuple[Case, str, int] | None = None
        self._cases = iter(cases)
        self._sample = sample
        self._scope = scope
        self._clock = clock
        self._patience = patience
        self.is_done = threading.Event()
        self._offset = 0

    def start(self) -> None:
        """Go on with the cases that are left."""
        threading.Thread(target=self._work, name="explorer-subject", daemon=True).start()

    def _work(self) -> None:
        me = threading.current_thread()
        self._thread = me
        subject = Subject(self._scope, self._clock, self._patience)
        try:
            for case in self._cases:
                for mode in case.modes:
                    self._explore(subject, case, mode)
                    if self._thread is not me:
                        return
        except BaseException as error:  # noqa: BLE001  # `explore` raises it
            self.error = error
        subject.end()
        self.is_done.set()

    def _explore(self, subject: Subject, case: Case, mode: str) -> None:
        self.at = (case, mode, -1)
        points = subject.count_points(case, mode)
        self._offset += 7
        step = self._sample * (_FORK_EVERY if case.b == "fork" else 1)
        deadlocks = 0
        me = self._thread
        for number in range(self._offset % step, points, step):
            self.at = (case, mode, number)
            if deadlocks >= _MOST_DEADLOCKS:
                self.report.skipped += 1
                continue
            found = subject.explore(case, mode, number)
            if self._thread is not me:
                return
            self._note(case, mode, number, found)
            deadlocks += any(kind == "deadlock" for kind, _ in found.problems)

    def _note(self, case, mode, number, found) -> None:
        if found.position is None:
            return
        report = self.report
        report.interleavings += 1
        report.undeliverable += found.is_undeliverable
        for kind, detail in dict(found.problems).items():
            report.add(case, mode, kind, number, found.position, detail)
        if not report.interleavings % _COLLECT_EVERY:
            gc.collect()

    def give_up(self) -> None:
        """Leave a thread that hangs behind, and go on with the next case."""
        case, mode, number = self.at
        self.report.add(case, mode, "deadlock", number, None, "B waits for A in the same thread")
        self._thread = None
        self.start()


def explore(
    cases: Iterable[Case], *, sample: int = 1, every: bool = False, patience: float = PATIENCE_SECONDS
) -> Report:
    """Explore ``cases`` at every ``sample``-th point; with ``every``, also at points that show nothing new."""
    clock = Clock()
    scope = Scope(str(Path(asyncmetrics.__file__).parent), HOT_FILES, every=every)
    explorer = _Explorer(list(cases), sample, scope, clock, patience)
    begin = _monotonic()
    with _prepared(clock):
        explorer.start()
        at, since = explorer.at, begin
        while not explorer.is_done.wait(0.2):
            if at is not explorer.at:
                at, since = explorer.at, _monotonic()
            elif _monotonic() - since > patience * 3:
                explorer.give_up()
                since = _monotonic()
    if explorer.error is not None:
        raise explorer.error
    explorer.report.seconds = _monotonic() - begin
    return explorer.report
