"""The callbacks of observable instruments, which are asked at each collection, and once a second for other workers.

*Rules.*

1. Ask a callback once at a time: an earlier call that has not ended gives the numbers.
2. Expose no number of a gauge whose callback has failed, or has not ended for `_LATE_SECONDS`.
3. Never let an observable counter fall: a callback that begins again from zero adds to what it has counted.

*Theory of operation.* Each callback has a table that stays empty. Its `ChildTable.collect_from` has the callback asked
in a thread, with the deadline of the scrape, and by the keeper of a worker (`asyncmetrics.storage.shared.refreshing`).
`CallbackObserver.observe` calls it and writes its numbers to the children of the family.
"""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping
from itertools import islice
from typing import Any, TypeAlias, final

from opentelemetry.metrics import CallbackOptions, Observation

from asyncmetrics.asking import HOME_SECONDS, close_awaitable, is_later
from asyncmetrics.bridges.opentelemetry.family import InstrumentFamily, Observer
from asyncmetrics.bridges.opentelemetry.recording import Recorder
from asyncmetrics.children.exemplars import NO_EXEMPLAR
from asyncmetrics.errors import show

__all__ = ("CallbackObserver", "CounterObserver", "GaugeObserver", "ObservableCallback")

ObservableCallback: TypeAlias = (
    "Callable[[CallbackOptions], Iterable[Observation]] | Generator[Iterable[Observation], CallbackOptions, None]"
)

_MAX_OBSERVATIONS = 100_000  # of one call: the limit ends a generator that never ends
_LATE_SECONDS = 2.0
_OPTIONS = CallbackOptions(timeout_millis=HOME_SECONDS * 1000)

_Key: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
"""The names and the values of the labels of a child."""


class CallbackObserver(Observer):
    """One callback of an observable instrument."""

    def __init__(self, family: InstrumentFamily, recorder: Recorder, callback: ObservableCallback) -> None:
        self.callback = callback
        self._family = family
        self._recorder = recorder
        self._begun: dict[int, float] = {}  # when the call began that has not ended, by process: a fork copies it
        self._is_primed = False
        self.table = family.open_observer_table()
        self.table.collect_from(self.observe)
        family.add_observer(self)

    def observe(self) -> Mapping[tuple[object, ...], float]:
        """Ask the callback and write its numbers to the family; raise what it raises."""
        process, now = os.getpid(), time.monotonic()
        if self._begun.setdefault(process, now) is not now:
            return {}  # rule 1
        try:
            self._take([self._read(one) for one in islice(self._call(), _MAX_OBSERVATIONS)])
        except BaseException:
            self._forget()
            raise
        finally:
            self._begun.pop(process, None)
        return {}

    def _call(self) -> Iterable[Observation]:
        callback = self.callback
        if not isinstance(callback, Generator):
            return _check_result(callback(_OPTIONS))
        if not self._is_primed:  # it runs to its first ``options = yield``
            self._is_primed = True
            next(callback)
        return _check_result(callback.send(_OPTIONS))

    def _read(self, observation: Observation) -> tuple[_Key, float]:
        labels = self._recorder.make_labels(observation.attributes)
        names = tuple(sorted(labels))
        return (names, tuple(labels[name] for name in names)), float(observation.value)

    def _find(self, key: _Key) -> Any:
        return self._family.find(dict(zip(*key, strict=True)))

    def forget_late(self) -> None:
        """Remove the numbers of a call that has not ended for `_LATE_SECONDS`."""
        begun = self._begun.get(os.getpid())
        if begun is not None and time.monotonic() - begun > _LATE_SECONDS:
            self._forget()

    @abstractmethod
    def _take(self, numbers: list[tuple[_Key, float]]) -> None:
        """Write ``numbers`` to the children."""

    @abstractmethod
    def _forget(self) -> None:
        """Remove the numbers that may be wrong by now."""


@final
class GaugeObserver(CallbackObserver):
    """A callback whose numbers replace those of its last call."""

    def __init__(self, family: InstrumentFamily, recorder: Recorder, callback: ObservableCallback) -> None:
        self._keys: set[_Key] = set()
        super().__init__(family, recorder, callback)

    def _take(self, numbers: list[tuple[_Key, float]]) -> None:
        before, self._keys = self._keys, {key for key, _ in numbers}
        for key, number in numbers:
            self._find(key).set(number)
        for key in before - self._keys:
            self._family.remove(*key)

    def _forget(self) -> None:
        keys, self._keys = self._keys, set()
        for key in keys:
            self._family.remove(*key)


@final
class CounterObserver(CallbackObserver):
    """A callback whose numbers only rise: each call adds what they have risen by."""

    def __init__(self, family: InstrumentFamily, recorder: Recorder, callback: ObservableCallback) -> None:
        self._last: dict[_Key, float] = {}
        super().__init__(family, recorder, callback)

    def _take(self, numbers: list[tuple[_Key, float]]) -> None:
        last = self._last
        for key, number in numbers:
            before = last.get(key, 0.0)
            # Rule 3. The callback runs in a scrape, whose trace is no exemplar.
            self._find(key).inc(number - before if number >= before else number, NO_EXEMPLAR)
            last[key] = number
        if len(last) > _MAX_OBSERVATIONS:
            present = {key for key, _ in numbers}
            self._last = {key: number for key, number in last.items() if key in present}

    def _forget(self) -> None:
        """Keep all: what was counted stays true."""


def _check_result(result: object) -> Iterable[Observation]:
    if is_later(result):
        close_awaitable(result)
        message = "the callback is async: OpenTelemetry's callbacks are plain functions or generators"
        raise TypeError(message)
    if not isinstance(result, Iterable):
        message = f"expected observations from the callback, got {show(result)}"
        raise TypeError(message)
    return result
