"""Explore many cases: a thread runs the interleavings, and this one watches that it gets on."""

from __future__ import annotations

import gc
import logging
import math
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import asyncmetrics
from tests.concurrency.explorer.cases import Case
from tests.concurrency.explorer.engine import interrupt
from tests.concurrency.explorer.growth import find_growth
from tests.concurrency.explorer.report import Report
from tests.concurrency.explorer.runner import Runner
from tests.concurrency.explorer.tracing import Scope
from tests.concurrency.explorer.worlds import Clock
from tests.patience import PATIENCE_SECONDS

__all__ = ("HOT_FILES", "explore", "make_scope")

HOT_FILES = (
    "storage/memory/plain.py",
    "storage/memory/native.py",
    "storage/memory/native_buckets.py",
    "storage/shared/children.py",
    "storage/shared/native.py",
)
"""The files whose code relies on where CPython switches threads: see `stops`."""
_MOST_DEADLOCKS = 3  # of one case; then the rest of the case is left out, since each takes the whole patience
_COLLECT_EVERY = 500  # interleavings
_FORK_EVERY = 25  # points; a fork takes 20 ms and more
_EVERY_OF = {"reading": 7, "crossed": 7}  # two stops make tens of thousands of ways for each pair
_OFFSET_STEP = 7  # with a sample, each case begins at another point
_LOOK_SECONDS = 0.2
_monotonic = time.monotonic


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


class _Exploration:
    """The work of a thread, which another one goes on with if the thread hangs."""

    def __init__(
        self, cases: Iterable[Case], sample: int, point: int | None, scope: Scope, clock: Clock, patience: float
    ) -> None:
        self.report = Report()
        self.error: BaseException | None = None
        self.is_done = threading.Event()
        self.at: tuple[Case, str, int] | None = None
        self._left = iter([(case, mode) for case in cases for mode in case.modes])
        self._sample = sample
        self._point = point
        self._scope = scope
        self._clock = clock
        self._patience = patience
        self._offset = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Work on what is left in a new thread."""
        self._thread = threading.Thread(target=self._work, name="explorer-runner", daemon=True)
        self._thread.start()

    def _is_left_behind(self) -> bool:
        return self._thread is not threading.current_thread()

    def _work(self) -> None:
        runner = Runner(self._scope, self._clock, self._patience)
        try:
            for case, mode in self._left:
                self._explore(runner, case, mode)
                if self._is_left_behind():
                    return
        except BaseException as error:  # noqa: BLE001  # `explore` raises it
            self.error = error
        runner.end()
        self.is_done.set()

    def _explore(self, runner: Runner, case: Case, mode: str) -> None:
        self.at = (case, mode, -1)
        deadlocks = 0
        for number in self._choose_ways(runner, case, mode):
            self.at = (case, mode, number)
            if deadlocks >= _MOST_DEADLOCKS:
                self.report.skipped += 1
                continue
            found = interrupt(runner, case, mode, number)
            if self._is_left_behind():
                return
            self.report.note(case, mode, number, found)
            deadlocks += any(kind == "deadlock" for kind, _ in found.problems)
            if not self.report.interleavings % _COLLECT_EVERY:
                gc.collect()
        if case.has_growth_check and mode in {"handler", "raise"} and not deadlocks:
            for kind, detail in find_growth(runner, case, mode):
                self.report.add(case, mode, kind, detail)

    def _choose_ways(self, runner: Runner, case: Case, mode: str) -> Sequence[int]:
        """Return the numbers of the ways to interrupt A that are tried."""
        if self._point is not None:
            return [self._point]
        self._offset += _OFFSET_STEP
        step = self._sample * (_FORK_EVERY if case.b == "fork" else _EVERY_OF.get(mode, 1))
        while math.gcd(step, runner.count_second(case, mode)) > 1:  # or some of its points would never be tried
            step += 1
        return range(self._offset % step, runner.count_ways(case, mode), step)

    def give_up(self) -> None:
        """Leave a thread that hangs behind, and go on with the next mode or case."""
        if self.at is not None:
            case, mode, number = self.at
            self.report.add(case, mode, "deadlock", f"{number}: B waits for A in the same thread")
        self.start()


def make_scope(*, every: bool = False) -> Scope:
    """Return the scope of the package; ``every`` includes points that show the same as the ones before."""
    return Scope(str(Path(asyncmetrics.__file__).parent), HOT_FILES, every=every)


def explore(
    cases: Iterable[Case],
    *,
    sample: int = 1,
    point: int | None = None,
    scope: Scope | None = None,
    patience: float = PATIENCE_SECONDS,
) -> Report:
    """Explore ``cases`` at every ``sample``-th point, or at one; interrupt what is in ``scope`` or the package."""
    clock = Clock()
    scope = make_scope() if scope is None else scope
    exploration = _Exploration(cases, sample, point, scope, clock, patience)
    begin = since = _monotonic()
    at = exploration.at
    with _prepared(clock):
        exploration.start()
        while not exploration.is_done.wait(_LOOK_SECONDS):
            if at is not exploration.at:
                at, since = exploration.at, _monotonic()
            elif _monotonic() - since > 3 * patience:  # an interleaving waits twice at most
                exploration.give_up()
                since = _monotonic()
    if exploration.error is not None:
        raise exploration.error
    exploration.report.seconds = _monotonic() - begin
    return exploration.report
