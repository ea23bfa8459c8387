"""Finding out that another worker has answered a scrape, so that children ask for new exemplars here as well.

A bucket takes one exemplar between two scrapes (`asyncmetrics.children.exemplar_turns`). A scrape that this worker
answers is known to its tables. One of another worker shows in the header of that worker's slot: once a second, the
keeper of this worker adds up these words of all other slots, with one system call for each.
"""

from __future__ import annotations

from functools import partial
from typing import final

from asyncmetrics.storage.shared.scrape.slot_readers import SlotReaders
from asyncmetrics.storage.shared.worker import Worker

__all__ = ("ScrapeWatch",)


@final
class ScrapeWatch:
    """Begin a new turn of exemplars in all tables of ``worker`` when other workers have answered scrapes."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._known: int | None = None  # the sum of the last run

    @property
    def interval_seconds(self) -> float:
        """The time between two runs of `run_chore`."""
        return 1.0

    def run_chore(self) -> None:
        """Look at the headers once."""
        arena = self._worker.arena
        if arena is None:
            return
        scrapes = self._worker.reader.use_slots(partial(_count_scrapes, arena.number))
        known, self._known = self._known, scrapes
        if known is not None and known != scrapes:
            for table in self._worker.list_tables():
                table.scrapes[0] += 1


def _count_scrapes(own: int, slots: SlotReaders) -> int:
    headers = [reader.try_read_header() for reader in slots.list_readers() if reader.number != own]
    return sum(header.scrapes for header in headers if header is not None)
