"""`Turns`, which replace a lock where the owner may be interrupted at any point by an exception of a signal handler.

*Rules.* Take a turn in a function that is as long as the turn; the function may be a generator that does not yield
meanwhile. Never wait for a turn without a limit: a signal handler or finaliser may ask while it interrupts the owner.

*Theory of operation.* A turn lasts for as long as the function that took it runs, and not longer than until `Turn.end`.
So an exception between any two instructions ends the turn, because it ends the function. Each dict of ``_holders`` has
one turn, and then the dict of the next one:

1. *Free*: the dict is empty. `Turns.take` sets its own turn by ``setdefault``, which decides between two threads.
2. *Taken*: the function of the turn runs, in some thread. `Turns.take` returns None.
3. *Ended*: `Turns.take` continues with the next dict, which ``setdefault`` makes once: state 1.
"""

from __future__ import annotations

import sys
from threading import get_ident
from types import FrameType
from typing import Any, final

__all__ = ("Turn", "Turns")


@final
class Turn:
    """The right to do something, for as long as the function of ``frame`` runs."""

    __slots__ = ("_frame", "thread")

    def __init__(self, frame: FrameType) -> None:
        self._frame: FrameType | None = frame
        self.thread = get_ident()

    def end(self) -> None:
        """End the turn before the end of its function."""
        self._frame = None

    def is_over(self) -> bool:
        """Return whether the turn has ended."""
        frame = self._frame
        if frame is None:
            return True
        try:
            frame.clear()
        except RuntimeError:  # a frame that runs cannot be cleared, in whatever thread or greenlet
            return False
        return True


@final
class Turns:
    """Gives a `Turn` to one caller at a time. No method waits."""

    def __init__(self) -> None:
        self._holders: dict[str, Any] = {}

    def take(self) -> Turn | None:
        """Return a turn that lasts as long as the calling function runs, or None while another one lasts."""
        turn = Turn(sys._getframe(1))
        while True:
            holders = self._holders
            holder: Turn = holders.setdefault("turn", turn)
            if holder is turn:
                return turn
            if not holder.is_over():
                return None
            self._holders = holders.setdefault("next", {})

    def is_interrupted(self) -> bool:
        """Return whether this call interrupts a turn of its own thread, as a signal handler or finaliser may do."""
        holders = self._holders
        while "next" in holders:
            holders = holders["next"]
        holder: Turn | None = holders.get("turn")
        return holder is not None and holder.thread == get_ident() and not holder.is_over()
