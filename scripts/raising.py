"""Raise exceptions of a signal handler in the middle of everything, and find out what became of the metrics.

``python -m scripts.raising [SECONDS [INTERVAL]]`` runs a program with memory storage and with shared storage: it makes,
counts, removes and reads series while a timer raises an exception every INTERVAL seconds (0.001), as a soft time limit
does. Then it prints what a scrape of the process, and one of another worker, have. tests/concurrency runs it shortly.

Rules:

- Let the handler raise only in a step of the program, so that each exception can be counted.
- Count in the program what each series must have: at least what `inc` has returned from, at most what it has begun.
"""

from __future__ import annotations

import argparse
import errno
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, NamedTuple, final

from asyncmetrics import CollectorRegistry, Counter, Histogram
from asyncmetrics.model.family import LiveFamily
from asyncmetrics.storage import MemoryStorage, SharedStorage, Storage

__all__ = ("Outcome", "main", "run")

_MOST_SERIES = 1000
_LATER = 200  # series that are made when no exception comes any more


class Outcome(NamedTuple):
    """What became of the metrics, and of the exceptions.

    ``lost`` exceptions were raised in finalisers, from which Python delivers none; ``swallowed`` ones have not reached
    the program either. ``missing`` are those of the series made at the end that are not exposed, ``wrong`` have an
    impossible number, or were removed. ``differing`` counts readings by another thread and another worker that differ.
    ``dropped`` series are not shared.
    """

    raised: int
    lost: int
    swallowed: int
    missing: int
    wrong: int
    differing: int
    dropped: float


class _Interruption(Exception):  # not an error
    """What the handler raises: of classes that the interrupted code handles, if it raises them itself."""


class _SystemInterruption(_Interruption, OSError):
    pass


class _LookupInterruption(_Interruption, KeyError):
    pass


@final
class _Program:
    """Series that are made, counted, removed and read, and what each of them must have."""

    def __init__(self, storage: Storage) -> None:
        self.registry = CollectorRegistry(storage=storage)
        self.counter = Counter("c", "C.", ["n"], registry=self.registry)
        self.histogram = Histogram("h", "H.", ["n"], registry=self.registry)
        self.expected: dict[str, tuple[int, int]] = {}
        self.removed: set[str] = set()
        self._random = random.Random(1)  # noqa: S311  # the same program each time
        self._made = 0

    def step(self) -> None:
        """Do one thing."""
        choice = self._random.random()
        if choice < 0.5 or not self.expected:
            self._made += 1
            self.count(f"k{self._made}")
        elif choice < 0.8:
            self.count(self._random.choice(list(self.expected)))
        elif choice < 0.98 or len(self.expected) > _MOST_SERIES:
            key = self._random.choice(list(self.expected))
            del self.expected[key]  # if this is interrupted, the series may stay
            self.counter.remove(key)
            self.removed.add(key)
            self.histogram.remove(key)
        else:
            self.read()

    def count(self, key: str) -> None:
        """Count a series; if this is interrupted, it has counted or not."""
        least, most = self.expected.get(key, (0, 0))
        self.expected[key] = (least, most + 1)
        self.counter.labels(key).inc()
        self.expected[key] = (least + 1, most + 1)
        self.histogram.labels(key).observe(1)

    def read(self) -> dict[str, float]:
        """Return the numbers of all series."""
        family = self.counter.make_family()
        assert isinstance(family, LiveFamily)
        return {point.labelvalues[0]: point.read_numbers()[0] for batch in family.read_batches() for point in batch}


@final
class _Handler:
    """A signal handler that raises where it interrupts a step of the program; ``raised`` has the exceptions."""

    def __init__(self) -> None:
        self.raised: list[_Interruption] = []
        self.lost: set[BaseException | None] = set()

    def __call__(self, _: int, frame: FrameType | None) -> None:
        own = (_Program.step.__code__, _Handler.keep_lost.__code__, _Handler.__call__.__code__)
        while frame is not None and frame.f_code not in own:
            frame = frame.f_back
        if frame is not None and frame.f_code is _Program.step.__code__:
            kind = (_SystemInterruption, _LookupInterruption)[len(self.raised) % 2]
            interruption = kind(errno.EIO, "interrupted")
            self.raised.append(interruption)
            raise interruption

    def keep_lost(self, unraisable: Any) -> None:
        """Keep an exception that Python cannot deliver; see `sys.unraisablehook`."""
        self.lost.add(unraisable.exc_value)


@contextmanager
def _raise_each(interval: float) -> Iterator[_Handler]:
    handler = _Handler()
    before = signal.signal(signal.SIGALRM, handler)
    sys.unraisablehook = handler.keep_lost
    signal.setitimer(signal.ITIMER_REAL, interval, interval)
    try:
        yield handler
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        sys.unraisablehook = sys.__unraisablehook__


def _interrupt(program: _Program, seconds: float) -> set[BaseException]:
    """Run the program for some seconds, and return the exceptions that it has got."""
    end, delivered = time.monotonic() + seconds, set[BaseException]()
    while time.monotonic() < end:
        try:
            program.step()
        except _Interruption as interruption:
            error: BaseException | None = interruption
            while error is not None:  # another one may have come while the first one was on its way
                delivered.add(error)
                error = error.__context__
    return delivered


def run(make_storage: Callable[[], Storage], seconds: float, interval: float = 0.001) -> Outcome:
    """Run the program for some seconds, and return what became of it."""
    program = _Program(make_storage())
    with _raise_each(interval) as handler:
        delivered = _interrupt(program, seconds)
    later = [f"later {number}" for number in range(_LATER)]
    for key in later:
        program.count(key)
    found = program.read()
    # A series that was interrupted before it was counted may exist, or not.
    wrong = [key for key, (least, most) in program.expected.items() if not least <= found.get(key, 0) <= most]
    with ThreadPoolExecutor(1) as pool:
        readings = [pool.submit(program.read).result()]
    if program.registry.storage.list_processes():
        readings.append(_Program(make_storage()).read())
    return Outcome(
        raised=len(handler.raised),
        lost=len(handler.lost),
        swallowed=len(set(handler.raised) - delivered - handler.lost),
        missing=len([key for key in later if key not in found]),
        wrong=len(wrong) + len(found.keys() & program.removed),
        differing=sum(reading != found for reading in readings),
        dropped=program.registry.get_sample_value("asyncmetrics_worker_dropped_series_total") or 0.0,
    )


def main() -> None:
    """Print the outcome for each storage."""
    parser = argparse.ArgumentParser(prog="python -m scripts.raising", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("seconds", type=float, nargs="?", default=25.0, help="how long, for each storage (25)")
    parser.add_argument("interval", type=float, nargs="?", default=0.001, help="seconds between exceptions (0.001)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for make in (MemoryStorage, partial(SharedStorage, f"{folder}/metrics")):
            storage = "memory" if make is MemoryStorage else "shared"
            print(sys.version.split()[0], storage, run(make, options.seconds, options.interval), flush=True)


if __name__ == "__main__":
    main()
