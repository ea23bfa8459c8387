"""`WAKEUP`: have the main thread handle SIGTERM although it waits in a system call.

Python's handler in C only notes a signal; the one in Python runs when the main thread goes on. If the signal comes
between the thread's last look at its notes and a system call, nothing interrupts the call: a main thread that sleeps,
or joins another one, would never handle the signal, and the supervisor would kill the process.

*Theory of operation.* The handler in C also writes the number of the signal to a pipe (`signal.set_wakeup_fd`). The
thread of a `PusherThread` reads it. If the main thread has not begun to handle SIGTERM soon after, it is sent SIGTERM
once more, which interrupts its system call. Python notes both as one.

*Rules.*

1. Leave a descriptor alone that another library has set, such as trio's or uvloop's: their loops wake up by it. A
   library that begins later may replace ours; trio does so with a warning.
2. Remove our descriptor in a forked process: otherwise the child's signals would be written to the parent's pipe.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import final

import anyio

from asyncmetrics.bridges.push.termination import TERMINATION, is_main_thread
from asyncmetrics.interruptions import ignoring

__all__ = ("WAKEUP", "SignalWakeup")

_NONE = -1
_PATIENCE_SECONDS = 0.05  # a main thread that runs handles the signal within the switch interval of 5 ms
_MOST_BYTES = 4096


@final
class SignalWakeup:
    """A pipe to which each signal is written, and the thread that reads it: there is one, `WAKEUP`."""

    def __init__(self) -> None:
        self._reader = self._writer = _NONE  # a pipe, which stays open: a loop may wait for it

    def install(self) -> None:
        """Have signals written to the pipe, if this is the main thread and no other library has set a descriptor."""
        if not is_main_thread() or not hasattr(signal, "pthread_kill"):
            return
        if self._reader == _NONE:
            self._reader, self._writer = os.pipe()
            os.set_blocking(self._reader, False)
            os.set_blocking(self._writer, False)
        previous = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        if previous != _NONE:
            signal.set_wakeup_fd(previous)

    def uninstall(self) -> None:
        """Remove the descriptor, if this is the main thread."""
        if self._writer != _NONE and is_main_thread():
            current = signal.set_wakeup_fd(_NONE)
            if current not in {_NONE, self._writer}:
                signal.set_wakeup_fd(current)

    async def watch(self) -> None:
        """Have the main thread handle each SIGTERM that comes, for ever."""
        while self._reader != _NONE:
            await anyio.wait_readable(self._reader)
            if signal.SIGTERM in self._read():
                await anyio.sleep(_PATIENCE_SECONDS)
                main = threading.main_thread().ident
                if main is not None and TERMINATION.is_late():
                    signal.pthread_kill(main, signal.SIGTERM)

    def _read(self) -> bytes:
        with ignoring(BlockingIOError):  # another thread was faster
            return os.read(self._reader, _MOST_BYTES)
        return b""

    def reset_after_fork(self) -> None:
        """Leave the pipe to the parent process."""
        self.uninstall()
        for end in {self._reader, self._writer} - {_NONE}:
            os.close(end)
        self._reader = self._writer = _NONE


WAKEUP = SignalWakeup()

if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=WAKEUP.reset_after_fork)
