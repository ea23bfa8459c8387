"""`Turns`, which replace a lock where the owner may be interrupted at any point by an exception of a signal handler.

*Rules.* Keep a `Turn` in one local variable and nowhere else. Never wait for a turn without a limit: a signal handler
or finaliser may ask while it interrupts the owner.

*Theory of operation.* A turn lasts for as long as its `Turn` is alive, and `Turns` has only a weak reference to it. So
each way out of the function that took the turn ends it, also an exception between any two instructions. (A traceback
that something keeps also keeps the variables of its functions: end the turn with ``del`` in a ``finally`` block.)

Each dict of ``_holders`` has one turn, and then the dict of the next one:

1. *Free*: the dict is empty. `Turns.take` sets its own turn by ``setdefault``, which decides between two threads.
2. *Taken*: the turn is alive. `Turns.take` returns None.
3. *Ended*: the turn is dead. `Turns.take` goes on with the next dict, which ``setdefault`` makes once: state 1.
"""

from __future__ import annotations

from threading import get_ident
from typing import Any, final
from weakref import ref

__all__ = ("Turn", "Turns")


@final
class Turn:
    """The right of a thread to do something, for as long as this is alive."""

    __slots__ = ("__weakref__", "thread")

    def __init__(self) -> None:
        self.thread = get_ident()


@final
class Turns:
    """Gives a `Turn` to one caller at a time. No method waits."""

    def __init__(self) -> None:
        self._holders: dict[str, Any] = {}

    def take(self) -> Turn | None:
        """Return a turn, or None while another one lasts."""
        turn = Turn()
        mine = ref(turn)
        while True:
            holders = self._holders
            holder: ref[Turn] = holders.setdefault("turn", mine)
            if holder is mine:
                return turn
            if holder() is not None:
                return None
            self._holders = holders.setdefault("next", {})

    def is_interrupted(self) -> bool:
        """Return whether this call interrupts a turn of its own thread, as a signal handler or finaliser may do."""
        holders = self._holders
        while "next" in holders:
            holders = holders["next"]
        holder = holders.get("turn", lambda: None)()
        return holder is not None and holder.thread == get_ident()
