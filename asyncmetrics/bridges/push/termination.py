"""SIGTERM: make the last push, and then end as before.

*Rules.*

1. Leave a handler of the program or its server alone: it ends the program in order, and that ends the pushers.
2. Take no lock in the handler, which may interrupt the code that has it: `threading.Thread.start` takes one.
3. End with the signal itself, so that the parent process sees exit status -15.

*Theory of operation.*

1. The first pusher that is started in the main thread puts a handler in the place of the default disposition.
2. The signal comes. The handler starts a thread, which has all pushers end on their loops and waits for them. The
   handler runs late if the signal comes between the main thread's last look at signals and a system call in which it
   waits: `asyncmetrics.bridges.push.wakeup` ends that call.
3. The thread sends the signal to the main thread again. The handler restores the disposition and sends it once more,
   which ends the process. A second signal of an impatient supervisor does the same at once.

The handler does not wait: the loop of the main thread has to run the last push meanwhile.
"""

from __future__ import annotations

import _thread
import os
import signal
import threading
from time import monotonic, sleep
from typing import final

from asyncmetrics.bridges.push.pushing import Pushing
from asyncmetrics.errors import LoopError
from asyncmetrics.interruptions import ignoring

__all__ = ("TERMINATION", "Termination", "is_main_thread")

_ATTEMPTS, _PAUSE_SECONDS = 100, 0.05  # the first process of a container does not end by the signal
_MARGIN_SECONDS = 0.5  # a loop that is busy begins its end late


@final
class Termination:
    """The handler of SIGTERM of this process: there is one, `TERMINATION`."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._pushings: list[Pushing] = []
        self._is_finishing = False

    def add(self, pushing: Pushing) -> None:
        """End ``pushing`` at SIGTERM."""
        self._enter_process()
        self._pushings.append(pushing)
        self.install()

    def discard(self, pushing: Pushing) -> None:
        """Forget a pushing that has ended."""
        with ignoring(ValueError):
            self._pushings.remove(pushing)
        self.uninstall()

    def install(self) -> None:
        """Handle the signal, if this is the main thread and the program does not handle it."""
        self._enter_process()
        if is_main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._handle)

    def is_late(self) -> bool:
        """Return whether the handler would run at SIGTERM, and has not run yet."""
        return not self._is_finishing and signal.getsignal(signal.SIGTERM) == self._handle

    def uninstall(self) -> None:
        """Restore the default disposition, if this is the main thread and no pusher is at work."""
        is_needed = self._pushings or self._is_finishing
        if not is_needed and is_main_thread() and signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _enter_process(self) -> None:
        if self._process != os.getpid():  # the pushers of the parent process do not run here
            self._process, self._pushings, self._is_finishing = os.getpid(), [], False

    def _handle(self, *_: object) -> None:
        self._enter_process()
        if self._pushings and not self._is_finishing:
            self._is_finishing = True
            with ignoring(RuntimeError):  # the system has no thread left
                _thread.start_new_thread(self._finish, ())
                return
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)

    def _finish(self) -> None:
        try:
            calls, longest = [], 0.0
            for pushing in list(self._pushings):
                with ignoring(LoopError):
                    calls.append(pushing.call_end())
                    longest = max(longest, pushing.shutdown_timeout)
            deadline = monotonic() + longest + _MARGIN_SECONDS
            for call in calls:
                call.wait(max(0.0, deadline - monotonic()))
        finally:
            _signal_main_thread()


def _signal_main_thread() -> None:
    """Send the signal to the main thread, whose system call it interrupts: another thread would only note it.

    Send it again while the process lives: the main thread may be between its last look at signals and the system call
    in which it waits for the next event.
    """
    main = threading.main_thread().ident
    for _ in range(_ATTEMPTS):
        if main is not None:
            signal.pthread_kill(main, signal.SIGTERM)
        sleep(_PAUSE_SECONDS)


def is_main_thread() -> bool:
    """Return whether this is the only thread that may set handlers of signals."""
    return threading.current_thread() is threading.main_thread()


TERMINATION = Termination()
