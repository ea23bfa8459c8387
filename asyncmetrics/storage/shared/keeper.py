"""What each worker does once a second, so that whoever is scraped can tell: gauge functions, and looking for change.

*Rules.* The thread starts only where there is something to do, is a daemon, and holds on to nothing: it ends when those
that it works for are gone. A forked process has none until it has numbers of its own.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager
from typing import Protocol, final
from weakref import ref

from asyncmetrics.storage.shared.weak_list import WeakList

__all__ = ("Keeper", "Kept", "await_all")

_log = logging.getLogger("asyncmetrics")
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.01, 1.0
_PATIENCE = 10.0  # seconds for an async gauge function


class Kept(Protocol):
    """What wants attention every so many seconds."""

    @property
    def pause(self) -> float:
        """How long it may be left alone, in seconds."""
        ...

    def attend(self) -> None:
        """Do what is to be done."""
        ...


@final
class Keeper:
    """The thread of one process; `begin` starts it, if there is need of it and none yet."""

    def __init__(self) -> None:
        self.allowed = True
        self._kept: WeakList[Kept] = WeakList()
        self._due: dict[int, float] = {}
        self._thread: threading.Thread | None = None

    def add(self, kept: Kept) -> None:
        """Give attention to ``kept`` from now on."""
        self._kept.add(kept)
        self.begin()

    def begin(self) -> None:
        """Start the thread, unless this process is none that serves."""
        if self._thread is None and self._kept.all() and self.allowed:
            self._thread = threading.Thread(target=_work, args=(ref(self),), name="asyncmetrics-keeper", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # the interpreter is ending, or there are too many threads: at the next occasion
                self._thread = None

    def after_fork(self) -> None:
        """Forget the thread, which is the parent's."""
        self._thread = None
        self.allowed = True

    def round(self) -> float:
        """Attend to everything that is due and return how long to wait."""
        kept = self._kept.all()
        due: dict[int, float] = {}
        for one in kept:
            now = time.monotonic()
            due[id(one)] = self._due.get(id(one), now)
            if now >= due[id(one)]:
                self._attend(one)
                due[id(one)] = now + one.pause
        self._due = due
        return max(0.0, min(due.values(), default=0.0) - time.monotonic())

    def _attend(self, kept: Kept) -> None:
        try:
            kept.attend()
        except Exception:  # noqa: BLE001  # the next round may be a better one
            _log.exception("the numbers of this worker could not be refreshed")


def _work(keeper: ref[Keeper]) -> None:
    pause = 0.0
    while True:
        time.sleep(min(max(pause, _SHORTEST_PAUSE), _LONGEST_PAUSE))
        found = keeper()
        if found is None:
            return
        pause = found.round()
        del found


def await_all(pending: Iterable[tuple[object, Awaitable[float], Callable[[], AbstractContextManager[None]]]]) -> None:
    """Await what async gauge functions came back with, in an event loop of this thread's own, and set the gauges."""

    async def work() -> None:
        for child, awaitable, taking in pending:
            with taking():
                setter: Callable[[float], None] = child.set  # type: ignore[attr-defined]  # a gauge
                setter(await asyncio.wait_for(_awaited(awaitable), _PATIENCE))

    asyncio.run(work())


async def _awaited(awaitable: Awaitable[float]) -> float:
    return await awaitable
