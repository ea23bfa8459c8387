"""One interleaving after another: A is stopped at a point, B or an exception comes, A goes on, and the end is checked.

*Theory of operation* of an interleaving, in the thread of the runner:

1. A fresh world is made. The reading C1 begins and takes a step, in some of the modes: a reading may also mend, or
   prepare, so the others do without C1 and C2.
2. A begins under the tracer, and is stopped before one of its points.
3. What comes now depends on the mode. In ``thread``, the partner's thread begins the reading C2, runs B to its end, and
   runs the reading C3. In ``handler``, this thread does the same. In ``crossed``, the partner's thread is stopped
   itself, in the middle of B; in ``reading`` it runs B, and is stopped in the middle of C3. Otherwise an exception is
   raised.
4. A goes on to its end. An exception must have arrived in the caller; A is then repeated or not, and B runs.
5. The readings are finished, and the set-up checks the world.

In ``switches``, A, B and C3 run in threads that are switched a few times, at any points: see `schedule`.

A B that waits for A in ``thread`` is given a few milliseconds, then A goes on and B must end. The operations that may
wait are in `_MAY_WAIT`. A reading that waits for A in ``thread`` is finished in step 5.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, NamedTuple

from tests.concurrency.explorer.cases import Case
from tests.concurrency.explorer.runner import Runner, run
from tests.concurrency.explorer.schedule import Schedule
from tests.concurrency.explorer.tracing import Position
from tests.concurrency.explorer.worlds import Problem, Stuck

__all__ = ("HandlerError", "HandlerExit", "Interleaving", "Run", "interrupt")

# Children with locks wait for each other, so on locked storage every B and every reading may wait. On shared storage
# readings wait for the step of another one, and a removal reads the slots of dead workers.
_MAY_WAIT = {"shared": frozenset({"remove", "remove_other", "clear", "remake", "read", "fork", "collect", "declare"})}


_WITH_EARLY_READINGS = frozenset({"thread", "raise", "raise, again"})


class HandlerError(Exception):
    """Raised by the signal handler."""


class HandlerExit(BaseException):
    """Raised by the signal handler, and no Exception, as KeyboardInterrupt is none."""


class Interleaving(NamedTuple):
    """What was found in one interleaving; ``position`` is None if A could not be interrupted there."""

    position: Position | str | None
    problems: list[Problem]
    is_undeliverable: bool = False


def _describe(error: BaseException) -> Problem:
    if isinstance(error, Stuck):
        return "deadlock", "a reading waits for what it interrupted, or a thread hangs"
    return f"raises {type(error).__name__}", f"{error}"


def interrupt(runner: Runner, case: Case, mode: str, number: int) -> Interleaving:
    """Interrupt A of ``case`` in a fresh world, in the way ``number``."""
    second = runner.count_all(case) if mode == "switches" else runner.count_second(case, mode)  # worlds set the clock
    world = case.setting.make_world(case.storage, runner.clock)
    try:
        return Run(runner, case, mode, world, second).run(number)
    finally:
        world.close()


class Run:
    """One interleaving in a world."""

    def __init__(self, runner: Runner, case: Case, mode: str, world: Any, second: int = 1) -> None:
        self._runner = runner
        self._second = second  # the number of points of what is stopped besides A
        self._case = case
        self._mode = mode
        self._world = world
        self._position: Position | str | None = None
        self._readings: list[Any] = []
        self._waits = False
        self._raised: BaseException | None = None
        self._ignored: list[BaseException | None] = []
        self._pause = _Pause()

    def run(self, number: int) -> Interleaving:
        """Interrupt A at its point ``number``, and check the end."""
        world = self._world
        try:
            self._begin_reading()
            self.interrupt(number)
            if self._position is None:
                return Interleaving(None, [])
            for reading in self._readings:
                reading.finish()
            allowed = self._runner.list_allowed(self._case, self._choose_way())
            self._case.setting.check_end(world, allowed, self._runner.run_elsewhere)
        except BaseException as error:  # noqa: BLE001  # whatever it is
            world.problems.append(_describe(error))
        return Interleaving(self._position, world.problems, bool(self._ignored))

    def interrupt(self, number: int) -> None:
        """Do steps 2 to 4."""
        if self._mode == "switches":
            self._run_switched(number)
            return
        number, self._pause.at = divmod(number, self._second)
        hook, sys.unraisablehook = sys.unraisablehook, self._ignore
        try:
            self._run_first(number)
        finally:
            sys.unraisablehook = hook

    def _run_switched(self, seed: int) -> None:
        schedule = Schedule(seed, 3, self._second, self._runner.scope.locate)

        def take_part(number: int, work: Callable[[], Any]) -> None:
            tracer = self._runner.make_tracer(self._mode)
            try:
                schedule.run(number, lambda: tracer.run_through(work, partial(schedule.pass_point, number)))
            except BaseException as error:  # noqa: BLE001  # whatever it is
                self._world.problems.append(_describe(error))

        def begin() -> None:
            schedule.start()
            take_part(0, lambda: self._operate(self._case.a, "A"))

        def read() -> None:
            self._case.setting.begin_reading(self._world).finish()

        self._runner.run_together(
            begin, (lambda: take_part(1, lambda: self._operate(self._case.b, "B")), lambda: take_part(2, read))
        )
        self._position = "; ".join(f"{'ABC'[number]} stopped at {place}" for number, place in schedule.trail)

    def _ignore(self, info: Any) -> None:
        """Keep an exception that Python cannot deliver, as one of a finaliser, without the frames that it passed."""
        self._ignored.append(info.exc_value and info.exc_value.with_traceback(None))

    def _choose_way(self) -> str:
        if self._waits or self._mode in {"switches", "crossed"}:
            return "merged"
        ways = {"raise, again": "cut again", "exit, again": "cut again", "raise": "cut", "exit": "cut"}
        return ways.get(self._mode, "between")

    def _begin_reading(self) -> None:
        if self._mode not in _WITH_EARLY_READINGS:
            return
        reading = self._case.setting.begin_reading(self._world)
        reading.step()
        self._readings.append(reading)

    def _run_first(self, number: int) -> None:
        tracer = self._runner.make_tracer(self._mode)
        try:
            tracer.run(lambda: self._operate(self._case.a, "A"), number, self._stop)
        except (HandlerError, HandlerExit) as error:
            self._check_delivery(error)
        else:
            self._check_delivery(None)
        if self._raised is not None:
            self._world.named.pop("A", None)
            self._raised = None
            if self._mode.endswith("again"):
                self._operate(self._case.a, "A")
            self._operate(self._case.b, "B")
        if self._pause.is_reached:
            self._pause.end()
        if (self._waits or self._pause.is_reached) and not self._runner.await_partner():
            self._world.problems.append(("deadlock", "B never ends, though A has ended"))

    def _operate(self, operation: str, name: str) -> None:
        run(self._case.setting.get_operation(operation), self._world, name)

    def _check_delivery(self, error: BaseException | None) -> None:
        if self._raised is None or error is self._raised or self._raised in self._ignored:
            return
        if not self._world.has_counted_failure():
            self._world.problems.append(("an exception is swallowed", f"{error!r} arrived"))

    def _stop(self, frame: FrameType) -> None:
        self._position = self._runner.scope.locate(frame)
        if self._mode == "thread":
            self._interrupt_elsewhere()
        elif self._mode in {"reading", "crossed"}:
            self._runner.begin_elsewhere(self._pause_in_between)
            self._pause.wait()
        elif self._mode == "handler":
            with self._world.in_handler():
                self._interrupt()
        elif _is_guarded(frame):
            self._position = None
        else:
            self._raised = HandlerError() if self._mode.startswith("raise") else HandlerExit()
            del frame
            raise self._raised

    def _interrupt_elsewhere(self) -> None:
        self._world.most_empty_steps = sys.maxsize
        self._runner.begin_elsewhere(self._interrupt)
        self._waits = not self._runner.has_partner_ended_soon()
        if self._waits and not self._may_wait():
            self._waits = False
            if not self._runner.await_partner():  # it may only be slow, on a busy machine
                self._world.problems.append(("deadlock", "B waits for A in another thread"))

    def _may_wait(self) -> bool:
        return self._case.storage == "locked" or self._case.b in _MAY_WAIT.get(self._case.storage, ())

    def _interrupt(self) -> None:
        """Run B between two readings. What goes wrong must not be raised in A."""
        try:
            self._begin_reading()
            self._operate(self._case.b, "B")
            reading = self._case.setting.begin_reading(self._world)
            if self._mode == "thread" and reading.is_waiting():
                self._readings.append(reading)  # for A, which waits for this one
            else:
                reading.finish()
        except BaseException as error:  # noqa: BLE001  # whatever it is
            self._world.problems.append(_describe(error))

    def _pause_in_between(self) -> None:
        """Run B, or B and a reading, with a pause in the middle of the last one until A has ended."""
        try:
            work = partial(self._operate, self._case.b, "B")
            if self._mode == "reading":
                work()
                work = self._case.setting.begin_reading(self._world).finish
            self._runner.make_tracer(self._mode).run(work, self._pause.at, lambda _: self._pause.begin())
        except BaseException as error:  # noqa: BLE001  # whatever it is
            self._world.problems.append(_describe(error))
        self._pause.skip()


class _Pause:
    """The pause of a thread at its point ``at``, for which another thread waits."""

    def __init__(self) -> None:
        self.at = -1
        self.is_reached = False
        self._begun, self._ended = threading.Event(), threading.Event()

    def wait(self) -> None:
        """Wait until the pause begins, or is skipped."""
        self._begun.wait()
        self.is_reached = True

    def begin(self) -> None:
        """Pause, in the thread that does."""
        self._begun.set()
        self._ended.wait()

    def skip(self) -> None:
        """Do not pause any more."""
        self._begun.set()

    def end(self) -> None:
        """Let the thread go on."""
        self._ended.set()


def _is_guarded(frame: FrameType | None) -> bool:
    """Return whether the frame is called for the text of an object.

    That may raise anything, and the error whose message needs the text comes first.
    """
    while frame is not None:
        if frame.f_code.co_name == "show" and frame.f_code.co_filename.endswith("errors.py"):
            return True
        frame = frame.f_back
    return False
