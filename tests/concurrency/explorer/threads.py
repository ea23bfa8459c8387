"""Threads that wait for work, so that an interleaving starts none; and the watchdog over them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

__all__ = ("Partner",)


class Partner:
    """A thread that calls one function at a time. It is a daemon: one that hangs is left behind, and replaced."""

    def __init__(self) -> None:
        self._work: Callable[[], Any] | None = None
        self._given, self._done = threading.Lock(), threading.Lock()  # each is released once for each call
        self._given.acquire()
        self._done.acquire()
        self._error: BaseException | None = None
        threading.Thread(target=self._serve, name="explorer-partner", daemon=True).start()

    def _serve(self) -> None:
        while True:
            self._given.acquire()
            work, self._work = self._work, None
            if work is None:
                return
            try:
                work()
            except BaseException as error:  # noqa: BLE001  # `wait` raises it
                self._error = error
            work = None
            self._done.release()

    def start(self, work: Callable[[], Any]) -> None:
        """Begin to call ``work``."""
        self._work = work
        self._given.release()

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the call, and return whether it came. Raises what the call raised."""
        if not self._done.acquire(timeout=seconds):
            return False
        error, self._error = self._error, None
        if error is not None:
            raise error
        return True

    def end(self) -> None:
        """End the thread, once its call has ended."""
        self._work = None
        self._given.release()
