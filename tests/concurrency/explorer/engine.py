"""One interleaving after another: A is stopped at a point, B or an exception comes, A goes on, and the end is checked.

*Theory of operation* of an interleaving, in the subject's thread:

1. A fresh world is made. The reading C1 begins and takes a step.
2. A begins under the tracer, and is stopped before its point ``number``.
3. In the mode ``thread`` the partner's thread, in ``handler`` this thread begins the reading C2, runs B to its end, and
   runs the reading C3. In the other modes an exception is raised instead.
4. A goes on to its end. An exception must have arrived in the caller; A is then repeated or not, and B runs.
5. C1 and C2 are finished, and `check_end` looks at the world.

A B that waits for A in ``thread`` is given `_PAUSE_SECONDS`, then A goes on and B must end. The operations that may
wait are in `_MAY_WAIT`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

from tests.concurrency.explorer.cases import Case
from tests.concurrency.explorer.model import list_outcomes
from tests.concurrency.explorer.operations import Operation
from tests.concurrency.explorer.threads import Partner
from tests.concurrency.explorer.tracing import Position, Scope, Tracer
from tests.concurrency.explorer.worlds import Clock, Problem, Stuck
from tests.patience import PATIENCE_SECONDS

__all__ = ("HandlerError", "HandlerExit", "Interleaving", "Subject")

_PAUSE_SECONDS = 0.003
# Children with locks wait for each other, so on locked storage every B and every reading may wait. On shared storage
# readings wait for the step of another one, and a removal reads the slots of dead workers.
_MAY_WAIT = {"shared": frozenset({"remove", "remove_other", "clear", "remake", "read", "fork", "collect", "declare"})}


class HandlerError(Exception):
    """Raised by the signal handler."""


class HandlerExit(BaseException):
    """Raised by the signal handler, and no Exception, as KeyboardInterrupt is none."""


class Interleaving(NamedTuple):
    """What was found in one interleaving; ``position`` is None if A ended before its stop."""

    position: Position | None
    problems: list[Problem]
    is_undeliverable: bool = False


class Subject:
    """Runs the interleavings of cases; one thread uses it."""

    def __init__(self, scope: Scope, clock: Clock, patience: float = PATIENCE_SECONDS) -> None:
        self._scope = scope
        self._clock = clock
        self._patience = patience
        self._partner = Partner()
        self._outcomes: dict[tuple[str, str, str, str], frozenset[Any]] = {}

    def count_points(self, case: Case, mode: str) -> int:
        """Return the number of points at which A can be interrupted."""
        tracer = self._make_tracer(mode)
        for _ in range(2):  # 3.13 traces the opcodes of a code object from its second call on
            world = case.setting.make_world(case.storage, self._clock)
            tracer.run(lambda world=world: run(case.get_operation(case.a), world, "A"))
            world.close()
        return tracer.count

    def _make_tracer(self, mode: str) -> Tracer:
        return Tracer(self._scope, "stops" if mode in {"thread", "handler"} else "raises")

    def explore(self, case: Case, mode: str, number: int) -> Interleaving:
        """Interrupt A of ``case`` at its point ``number``."""
        world = case.setting.make_world(case.storage, self._clock)
        try:
            one = _Run(self, case, mode, world)
            return one.run(number)
        finally:
            world.close()

    def end(self) -> None:
        """End the threads."""
        self._partner.end()

    def list_allowed(self, case: Case, way: str) -> frozenset[Any]:
        """Return the outcomes that a sequential order allows."""
        key = (case.setting.name, case.a, case.b, way)
        if key not in self._outcomes:
            a, b = case.get_operation(case.a), case.get_operation(case.b)
            self._outcomes[key] = list_outcomes(case.setting.make_model, a, b, way)
        return self._outcomes[key]

    def begin_elsewhere(self, work: Callable[[], None]) -> bool:
        """Run ``work`` in the partner's thread; return whether it ended soon."""
        self._partner.start(work)
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


def run(operation: Operation, world: Any, name: str) -> None:
    """Run an operation on a world."""
    for _ in operation(world, name):
        pass


def _describe(error: BaseException) -> Problem:
    if isinstance(error, Stuck):
        return "deadlock", "a reading waits for what it interrupted, or a thread hangs"
    return f"raises {type(error).__name__}", f"{error}"


class _Run:
    """One interleaving."""

    def __init__(self, subject: Subject, case: Case, mode: str, world: Any) -> None:
        self._subject = subject
        self._case = case
        self._mode = mode
        self._world = world
        self._position: Position | None = None
        self._readings: list[Any] = []
        self._waits = False
        self._raised: BaseException | None = None
        self._ignored: list[BaseException | None] = []

    def run(self, number: int) -> Interleaving:
        world = self._world
        hook, sys.unraisablehook = sys.unraisablehook, self._ignore
        try:
            self._begin_reading()
            self._run_first(number)
            if self._position is None:
                return Interleaving(None, [])
            for reading in self._readings:
                reading.finish()
            allowed = self._subject.list_allowed(self._case, self._choose_way())
            self._case.setting.check_end(world, allowed, self._subject.run_elsewhere)
        except BaseException as error:  # noqa: BLE001  # whatever it is
            world.problems.append(_describe(error))
        finally:
            sys.unraisablehook = hook
        return Interleaving(self._position, world.problems, bool(self._ignored))

    def _ignore(self, info: Any) -> None:
        """Keep an exception that Python cannot deliver, as one of a finaliser, without the frames that it passed."""
        self._ignored.append(info.exc_value and info.exc_value.with_traceback(None))

    def _choose_way(self) -> str:
        if self._waits:
            return "merged"
        ways = {"thread": "between", "handler": "between", "raise": "cut", "exit": "cut"}
        return ways.get(self._mode, "cut again")

    def _begin_reading(self) -> None:
        reading = self._case.setting.begin_reading(self._world)
        reading.step()
        self._readings.append(reading)

    def _run_first(self, number: int) -> None:
        case, world = self._case, self._world
        tracer = self._subject._make_tracer(self._mode)
        try:
            tracer.run(lambda: run(case.get_operation(case.a), world, "A"), number, self._stop)
        except (HandlerError, HandlerExit) as error:
            self._check_delivery(error)
        else:
            self._check_delivery(None)
        if self._raised is not None:
            world.named.pop("A", None)
            self._raised = None
            if self._mode.endswith("again"):
                run(case.get_operation(case.a), world, "A")
            run(case.get_operation(case.b), world, "B")
        elif self._waits and not self._subject.await_partner():
            world.problems.append(("deadlock", "B never ends, though A has ended"))

    def _check_delivery(self, error: BaseException | None) -> None:
        if self._raised is None or error is self._raised or self._raised in self._ignored or self._world.failures:
            return
        self._world.problems.append(("an exception is swallowed", f"{error!r} arrived"))

    def _stop(self, frame: FrameType) -> None:
        self._position = self._subject._scope.locate(frame)
        del frame
        if self._mode == "thread":
            self._world.most_empty_steps = sys.maxsize
            self._waits = not self._subject.begin_elsewhere(self._interrupt)
            if self._waits and not self._may_wait():
                self._waits = False
                if not self._subject.await_partner():  # it may only be slow, on a busy machine
                    self._world.problems.append(("deadlock", "B waits for A in another thread"))
        elif self._mode == "handler":
            self._interrupt()
        else:
            self._raised = HandlerError() if self._mode.startswith("raise") else HandlerExit()
            raise self._raised

    def _may_wait(self) -> bool:
        return self._case.storage == "locked" or self._case.b in _MAY_WAIT.get(self._case.storage, ())

    def _interrupt(self) -> None:
        """Run B between two readings. What goes wrong must not be raised in A."""
        try:
            self._begin_reading()
            run(self._case.get_operation(self._case.b), self._world, "B")
            reading = self._case.setting.begin_reading(self._world)
            if self._mode == "thread" and reading.is_waiting():
                self._readings.append(reading)  # for A, which waits for this one
            else:
                reading.finish()
        except BaseException as error:  # noqa: BLE001  # whatever it is
            self._world.problems.append(_describe(error))
