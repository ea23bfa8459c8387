"""Reading the slots of all workers in short steps, so that no thread waits for a whole reading of another.

*Rules.* Hold the turn for one step only, or for one look at the slots (`StepReader.use_slots`). Let a step wait at
most 0.5 ms for it. If a signal handler or a finaliser reads while it interrupts a step of the same thread, give it new
readers: the shared ones are half changed.

*Theory of operation.* The states of an iterator that `StepReader.take_steps` returns:

1. *New*: nothing is read. The first item is empty, so that the reading begins when the caller asks for the second.
2. *Waiting*: the next step needs the turn. If another thread has it for longer than 0.5 ms, the iterator yields an
   empty item and stays here; the caller can do something else and ask again.
3. *In a step*: the iterator has the turn. In its first step it chooses its readers: the shared ones, or new ones if it
   has interrupted another step. After the step the turn ends, the iterator yields the item and goes back to 2.
4. *Done*: no step is left. The shared readers keep what they have read of the logs, for the next reading.
5. *Interrupted*: an exception has ended a step. The shared readers may be half changed, so the next step replaces them
   by new ones, which read all logs again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, final

from asyncmetrics.model.family import Point
from asyncmetrics.storage.lineage import read_start_time
from asyncmetrics.storage.shared.scrape.merged_family import MergedFamily
from asyncmetrics.storage.shared.scrape.slot_readers import SlotReaders
from asyncmetrics.storage.shared.scrape.snapshot import LocalState
from asyncmetrics.storage.shared.turns import Turns

__all__ = ("WAIT_SECONDS", "StepReader")

T = TypeVar("T")
WAIT_SECONDS = 0.0005
"""How long a step waits for another thread: half of the 1 ms for which a scrape may hold an event loop."""
_WAITS = 2000  # one second for a look at the slots: another thread may wait in a signal handler, in its step


class _End:
    """The type of `_END`."""


_END = _End()  # what `next` returns after the last step; None may be a step


@final
class StepReader:
    """Read ``slots``, the readers of all slots, one step at a time in any thread."""

    def __init__(self, slots: SlotReaders) -> None:
        self.slots = slots
        self._turns = Turns()
        self._is_whole = True  # False during a step, and after one that an exception has ended

    def read(self, merged_family: MergedFamily, own: LocalState) -> Iterator[Sequence[Point]]:
        """Yield the points of a family over all slots, a slice at each step; some slices are empty."""

        def begin(slots: SlotReaders) -> Iterator[Sequence[Point]]:
            family = merged_family if slots is self.slots else merged_family.renew()
            return family.read(slots, own)

        return self.take_steps(begin)

    def follow_logs(self) -> Iterator[None]:
        """Follow the logs of all slots to their ends, a slice at each step."""
        for _ in self.take_steps(SlotReaders.sync):
            yield

    def release_pages(self) -> Iterator[None]:
        """Free the memory that no reading uses any more, a few pages at each step."""
        for _ in self.take_steps(lambda slots: slots.unused.release()):
            yield

    def take_steps(self, begin: Callable[[SlotReaders], Iterator[T]]) -> Iterator[T | tuple[()]]:
        """Yield the items of ``begin(readers)``, and an empty item where another thread has the turn for long."""
        steps: Iterator[T] | None = None
        item: T | tuple[()] | _End = ()
        is_nested = False
        while not isinstance(item, _End):
            yield item
            item = ()
            turn = self._turns.take()
            if turn is None and (is_nested or self._turns.is_interrupted()):
                is_nested = True  # the readers belong to this iterator, which needs no turn from now on
                steps = begin(self.slots.renew()) if steps is None else steps
                item = next(steps, _END)
            elif turn is None:
                time.sleep(WAIT_SECONDS)
            else:
                try:
                    self._renew_slots()
                    steps = begin(self.slots) if steps is None else steps
                    self._is_whole = False
                    item = next(steps, _END)
                    self._is_whole = True
                finally:
                    turn.end()

    def _renew_slots(self) -> None:
        """Replace the readers if an exception has ended a step; call it with the turn."""
        if not self._is_whole:
            self.slots = self.slots.renew()
            self._is_whole = True

    def use_slots(self, use: Callable[[SlotReaders], T]) -> T:
        """Return ``use(readers)``. No other thread takes a step meanwhile.

        The readers are the shared ones, as far as their logs are followed. They are new ones if this call interrupts a
        step, or if a step of another thread does not end for a second.
        """
        for _ in range(_WAITS):
            turn = self._turns.take()
            if turn is not None:
                try:
                    self._renew_slots()
                    self._is_whole = False
                    result = use(self.slots)
                    self._is_whole = True
                    return result
                finally:
                    turn.end()
            if self._turns.is_interrupted():
                break
            time.sleep(WAIT_SECONDS)
        slots = self.slots.renew()
        for _ in slots.sync():
            pass
        return use(slots)

    def forget(self, merged_family: MergedFamily) -> None:
        """Release what a merged family has learnt, since nothing will read it again."""
        self.use_slots(lambda slots: merged_family.forget(slots.unused))

    def list_live_processes(self) -> dict[str, int]:
        """Return the process ids of the live slots, by the number of the slot."""
        return self.use_slots(_list_live_processes)

    def close(self) -> None:
        """Close all files; a step that another thread takes meanwhile may fail to read some."""
        self.use_slots(SlotReaders.close)


def _list_live_processes(slots: SlotReaders) -> dict[str, int]:
    headers = [(reader, reader.try_read_header()) for reader in slots.list_readers()]
    return {
        str(reader.number): header.pid
        for reader, header in headers
        if header and reader.is_live and read_start_time(header.pid) == header.start
    }
