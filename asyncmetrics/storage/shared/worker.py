"""This process as one of the workers that share a directory: the slot that it owns, and its queue of structural work.

*Rules.* Never wait where a number changes: the caller may be a signal handler or a finaliser, which would wait for the
code that it interrupts. Change the structure of the arena through `Worker.do` only. Raise nothing because of what
another process does or leaves in its files.

*Theory of operation.* The states of a process:

1. *Without a slot*: ``arena`` is None and ``problem`` is empty. A process starts here, and stays here while ``find``
   returns None: then all children are detached, and the process exposes its own numbers only. After a fork, children
   wait, and the first write of one takes a slot.
2. *With a slot*: ``arena`` is the arena of the slot that the process owns; its children write to cells there.
   `Worker.attach_slot` leads from 1 to 2: it opens the directory, takes the lowest free slot with the counts that it
   holds, and attaches the children that were made before the directory was known.
3. *Unable*: ``problem`` says why the process cannot share. `Worker.attach_slot` leads from 1 to 3 if there is no
   directory or no slot, `Worker.close` from any state to 3. Children are detached, keep their numbers, and only this
   process exposes them. Closing the slot leaves its files; the next worker takes them over. Only a fork ends state 3.
4. *Files lost*: `Worker.reattach` finds that the files of the process's slot are gone or damaged, or that the process
   has changed its user. It detaches the children, leaves the slot and goes by way of 1 to 2: the children copy their
   numbers into new files, which after a change of the user are in another directory.
5. *Forked*: `Worker.reset_after_fork` leads a child process from any state to 1, with a new queue, new turns and new
   readers. The slot is still the parent's: its files are closed and not unlocked. Children attach at their next write.

The states of a piece of structural work (attach a child, remove series, …):

1. *Queued*: `Worker.queue` appends it. If other code has the turn, in another thread or interrupted by this call, that
   code takes the piece from the queue, and this call goes on. Readings and `SharedStorage.list_processes` wait until
   the queue is done, one second at most (`Worker.finish_work`).
2. *Under way*: otherwise `Worker.do` takes the turn and does all pieces in their order. Nothing else changes the arena.
3. *Done*: the piece leaves the queue, even if a system call has failed: the piece has then counted what is lost.
4. *Interrupted*: an exception of a signal handler has ended the piece, and with it the turn. The exception goes to the
   caller of `do`. The piece stays first in the queue, and the files are what a killed process leaves. The next turn
   starts the piece again. If the tables of the arena do not agree with its files, it reads its log first
   (`Arena.recover`).
5. *Dropped*: the piece was interrupted ten times, or has failed by a fault of its own. It leaves the queue; that is
   logged and counted.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, final
from weakref import WeakValueDictionary

from asyncmetrics.errors import StorageError
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.storage.shared.discovery import NoWorkerError
from asyncmetrics.storage.shared.files.arena import Arena
from asyncmetrics.storage.shared.files.directory import Directory
from asyncmetrics.storage.shared.files.layout import ERRORS, SCRAPES, CorruptError
from asyncmetrics.storage.shared.keeper import Keeper
from asyncmetrics.storage.shared.scrape.merged_family import MergedFamily
from asyncmetrics.storage.shared.scrape.slot_readers import SlotReaders
from asyncmetrics.storage.shared.step_reader import WAIT_SECONDS, StepReader
from asyncmetrics.storage.shared.turns import Turns
from asyncmetrics.storage.weak_list import WeakList

__all__ = ("Work", "Worker", "WorkerTable")

_log = logging.getLogger("asyncmetrics")
_WAITS = 2000  # one second; then readings continue without the work of a thread that is suspended
_ATTEMPTS = 10  # of one piece of work, which exceptions of signal handlers interrupt
_ERROR_INTERVAL_SECONDS = 1.0  # a slot that cannot be read fails in each of the many families of a scrape


class WorkerTable(Protocol):
    """What a worker uses of a `SharedChildTable`."""

    descriptor: Descriptor
    declared: int
    scrapes: list[int]

    @property
    def merged_family(self) -> MergedFamily:
        """The metric's family, merged over all workers."""
        ...

    def read(self) -> Iterator[Sequence[Any]]:
        """Yield the points of all workers in slices."""
        ...

    def attach_all(self) -> None:
        """Attach every child to cells."""
        ...

    def detach_all(self) -> None:
        """Detach every child from its cells."""
        ...

    def reset_after_fork(self) -> None:
        """Start from zero in a forked process."""
        ...


@final
class Work:
    """A piece of structural work, how often it was begun, and whether it is still to be done."""

    __slots__ = ("attempts", "do", "is_queued")

    def __init__(self, do: Callable[[], None]) -> None:
        self.do = do
        self.attempts = 0
        self.is_queued = True


@final
class Worker:
    """This process's slot, tables and readers in one directory.

    ``find`` returns the directory, or None while it cannot be known. It raises `NoWorkerError` where the process is no
    worker, and another `StorageError` where it is one and has no usable directory. ``problem`` says why this process
    shares nothing, ``is_worker`` whether it should.
    """

    def __init__(self, find: Callable[[], Directory | None]) -> None:
        self._find = find
        self.directory: Directory | None = None
        self.problem = ""
        self.is_worker = True
        # By the registry's space and the metric's name: the tables of all metrics of that name, by their copy number.
        self.tables_by_name: dict[tuple[str, str], WeakValueDictionary[int, WorkerTable]] = {}
        self.keeper = Keeper()
        self._tables: WeakList[WorkerTable] = WeakList()
        self._reset()
        _WORKERS.add(self)

    def _reset(self) -> None:
        self.arena: Arena | None = None
        self.reader = StepReader(SlotReaders(self.directory, self._count_error))
        self._queue: deque[Work] = deque()
        self._turns = Turns()
        self._attaches_all = self.directory is None  # whether children exist that were made before the slot is known
        self._waits = _WAITS  # how often readings still wait for the piece of work that is under way
        self.errors = 0  # how many times a slot could not be read
        self._error_times: dict[int, float] = {}  # when each slot last failed, on the monotonic clock

    def reset_after_fork(self) -> None:
        """Start without a slot in a forked process, and reset all children."""
        arena, slots = self.arena, self.reader.slots
        self.problem = ""
        self.keeper.reset_after_fork()
        self._reset()
        for table in self.list_tables():
            table.reset_after_fork()
        slots.close()
        if arena is not None:
            arena.close()

    def read(self, directory: Directory) -> None:
        """Read the slots in ``directory``, as a process that takes none of them."""
        self.directory = directory
        self.reader.slots = SlotReaders(directory, self._count_error)

    def join(self) -> None:
        """Attach to a slot, if the directory is known. Raises `StorageError` if that fails."""
        self.do(self.attach_slot)
        if self.problem:
            raise StorageError(self.path, self.problem, errno.EIO)

    @property
    def path(self) -> str:
        """The path of the directory, for messages."""
        return self.directory.path if self.directory else ""

    def attach_slot(self) -> None:
        """Take a slot, unless this process has one or cannot share; call it through `do`."""
        if self.arena is not None and self._is_foreign():
            self._leave_arena(self.arena)
        if self.arena is None and not self.problem:
            self._try_slots()
        if self.arena is not None and self._attaches_all:
            for table in self.list_tables():
                table.attach_all()
            self._attaches_all = False

    def _is_foreign(self) -> bool:
        """Return whether this process has changed its user, as a worker of ``gunicorn --user`` that counted before."""
        return self.directory is not None and self.directory.is_foreign()

    def _try_slots(self) -> None:
        """Take a slot, again if another program removes the directory meanwhile (``rm -rf``)."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._take_slot()
            except OSError as error:
                pass_interruption(error)
                if error.errno == errno.ENOENT and attempt < _ATTEMPTS:
                    self.directory = None
                    continue
                self._set_problem(error)
            return

    def _take_slot(self) -> None:
        if self.directory is None or not self.directory.is_sound():
            self.directory = self._find()
        if self.directory is None:
            return
        arena = Arena(self.directory, idle=not self.keeper.is_allowed)
        arena.add(ERRORS, arena.passed_over)
        _number_declarations(arena, self.list_tables())
        slots = SlotReaders(self.directory, self._count_error)
        slots.read_own(arena.files)
        self.reader.slots, self.arena = slots, arena  # until here, an exception leaves a free slot
        self.keeper.start()

    def reattach(self) -> None:
        """Do as `attach_slot`, and take a new slot if this process has lost its files; call it through `do`."""
        arena = self.arena
        if sys.is_finalizing():  # a temporary directory may be gone before this process
            return
        if arena is not None and not self._is_foreign() and not arena.has_its_files():
            _log.warning("%s: files of this process were removed or damaged; it continues in new ones", self.path)
            self._leave_arena(arena)
        self.attach_slot()

    @property
    def interval_seconds(self) -> float:
        """The time between two runs of `run_chore`."""
        return 1.0

    def run_chore(self) -> None:
        """Continue in new files if those of this process were removed, but not if all is removed where they were."""
        if self.directory is not None and self.directory.has_parent():
            self.do(self.reattach)

    def stop_serving(self) -> None:
        """Be no worker from now on, but the supervisor of some."""
        self.keeper.is_allowed = False
        if self.arena is not None:
            self.arena.mark_idle()

    def _leave_arena(self, arena: Arena) -> None:
        self._attaches_all = True  # `attach_slot` attaches the children to new cells, with the numbers that they hold
        for table in self.list_tables():
            table.detach_all()
        if self._is_foreign():  # the files belong to the user of before
            arena.close()
        else:
            arena.abandon()
        self.arena = self.directory = None  # last: this process must not adopt the counts that its children have

    def _set_problem(self, error: OSError) -> None:
        self.problem = getattr(error, "problem", f"no slot is available: {error}")
        self.is_worker = not isinstance(error, NoWorkerError)
        if self.is_worker:
            path = self.path or getattr(error, "path", "")
            _log.warning("%s: this process keeps its metrics for itself: %s", path, self.problem)

    def close(self) -> None:
        """Release the slot; from now on this process keeps its numbers for itself."""
        self.do(self._detach)

    def _detach(self) -> None:
        self.problem = "the storage was closed"
        for table in self.list_tables():
            table.detach_all()  # the worker that takes the slot over writes to these cells
        arena, self.arena = self.arena, None
        self.reader.close()
        if arena is not None:
            arena.close()

    def count_scrape(self) -> None:
        """Let the other workers know that this one has answered a scrape."""
        if self.arena is not None:
            self.arena.add(SCRAPES)

    def add_table(self, table: WorkerTable) -> None:
        """Attach, detach and reset the children of ``table`` with this worker from now on."""
        self._tables.add(table)

    def number_declarations(self, tables: Sequence[WorkerTable]) -> None:
        """Give the declarations of metrics their numbers in this process's slot; call it through `do`."""
        if self.arena is not None:
            _number_declarations(self.arena, tables)

    def list_tables(self) -> list[WorkerTable]:
        """Return the child tables of this process that share this directory."""
        return self._tables.list_alive()

    def do(self, work: Callable[[], None]) -> None:
        """Queue structural work, and do what is queued."""
        self.queue(work)
        self.work()

    def queue(self, work: Callable[[], None]) -> Work:
        """Queue structural work. It must work when it is done twice, as after an exception in the middle."""
        piece = Work(work)
        self._queue.append(piece)
        return piece

    def attach_all_again(self) -> None:
        """Let the next structural work attach all children, because one could not be attached at the moment."""
        self._attaches_all = True

    def work(self) -> None:
        """Do all that is queued, unless other code does work at the moment, which then does this as well."""
        while self._queue:
            turn = self._turns.take()
            if turn is None:
                return
            try:
                self._do_queued()
            finally:
                turn.end()

    def finish_work(self) -> Iterator[tuple[()]]:
        """Do all that is queued. While another thread does it, wait 0.5 ms at each step.

        All readings together wait one second for one piece of work. A call that interrupts the work in the same thread
        does not wait.
        """
        queue, mark = self._queue, self.queue(lambda: None)
        self.work()
        while mark.is_queued and self._waits > 0 and not self._turns.is_interrupted():
            if queue is not self._queue:  # in a forked process
                return
            time.sleep(WAIT_SECONDS)
            self._waits -= 1
            self.work()
            yield ()

    def _do_queued(self) -> None:
        while self._queue:
            piece = self._queue[0]
            try:
                self._do(piece)
            except Exception as error:  # noqa: BLE001  # a fault must not stop the queue
                pass_interruption(error)
                if isinstance(error, OSError):  # no room, for instance: the work itself has counted what is lost
                    _log.debug("%s: %s", self.path, error)
                else:
                    self._drop(repr(error))
            piece.is_queued = False
            self._queue.popleft()
            self._waits = _WAITS

    def _do(self, piece: Work) -> None:
        if self.arena is not None and not self.arena.is_whole:
            self._recover(self.arena)
        piece.attempts += 1
        if piece.attempts > _ATTEMPTS:
            self._drop(f"interrupted {_ATTEMPTS} times")
        else:
            piece.do()

    def _recover(self, arena: Arena) -> None:
        """Make the arena whole after an exception has ended a piece of work."""
        try:
            arena.recover()
        except (OSError, CorruptError) as error:
            pass_interruption(error)
            _log.warning("%s: this process continues in new files: %s", self.path, error)
            self._leave_arena(arena)

    def _drop(self, problem: str) -> None:
        _log.error("%s: some numbers of this process are not shared: %s", self.path, problem)
        if self.arena is not None:
            self.arena.count_dropped()

    def _count_error(self, slot: int, problem: str) -> None:
        """Count that a slot could not be read, at most once a second; log the first time."""
        now = time.monotonic()
        self.errors += 1
        if now - self._error_times.get(slot, -_ERROR_INTERVAL_SECONDS) >= _ERROR_INTERVAL_SECONDS:
            # While the interpreter ends, finalisers close files that this module still uses.
            if slot not in self._error_times and not sys.is_finalizing():
                _log.warning("slot %d in %s cannot be read: %s", slot, self.path, problem)
            self._error_times[slot] = now
            if self.arena is not None:
                self.arena.add(ERRORS)


def _number_declarations(arena: Arena, tables: Sequence[WorkerTable]) -> None:
    first = arena.take_declaration_numbers(len(tables))
    for number, table in enumerate(tables, first):
        table.declared = number


_WORKERS: WeakList[Worker] = WeakList()


def _reset_after_fork() -> None:
    for worker in _WORKERS.list_alive():
        worker.reset_after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_reset_after_fork)
