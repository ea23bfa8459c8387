"""Whether this process shares its metrics: decided at its first metric, and again at a fork or a scrape.

*Rules.* Import, start and create nothing in a process that is alone. Take no lock: the first use of a metric may be in
a signal handler. Each step may be repeated.

*Theory of operation.* The states of a process:

1. *Unknown*: no metric has been created. `Decision.begin` leads on:
   to 4 if an environment variable names a directory (`asyncmetrics.storage.named`), or the process is a worker or a
   supervisor that starts workers; to 3 if it is a casual worker, which is one only if it uses metrics; otherwise to 2.
2. *Alone*: numbers are in memory. From here

   * a fork leads the forked process to 3. It has a copy of its parent's numbers;
   * a server that forks its workers leads to 4, in the supervisor, just before it does so;
   * a worker that ``multiprocessing`` starts leads to 3 or 4 when its main module has been imported;
   * a scrape leads to 4 if processes that this one has started have made the directory that they share.
3. *Undecided*: the children of metrics are stand-ins. The first use of a metric, or a scrape, leads to 4, or back to 2
   if ``os.fork`` has made this process and its parent has ended since.
4. *Sharing*: numbers are in shared storage. After a fork, shared storage lets the child process share as well.

If a worker cannot share, it is in state 2, and ``is_unshared`` is True.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, final
from weakref import ref

from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.storage.automatic_table import AutomaticTable
from asyncmetrics.storage.lineage import record_fork
from asyncmetrics.storage.named import find_multiprocess_path, find_own_path
from asyncmetrics.storage.weak_list import WeakList

if TYPE_CHECKING:  # imported only in a worker
    from asyncmetrics.storage.shared.files.directory import Directory
    from asyncmetrics.storage.shared.storage import SharedStorage
    from asyncmetrics.storage.shared.supervisors import Supervisor

__all__ = ("DECISION", "Decision")


@final
class Decision:
    """The decision of a process: there is one, `DECISION`.

    ``shared`` is the shared storage, None if the process shares nothing. ``opens_undecided`` is whether new tables
    are undecided. ``multiprocess_path`` is the directory of ``PROMETHEUS_MULTIPROC_DIR``, if that decided.
    """

    def __init__(self) -> None:
        self.shared: SharedStorage | None = None
        self.is_unshared = False
        self.is_undecided = False
        self.opens_undecided = False
        self.multiprocess_path = ""
        self._is_begun = False
        self._is_inherited = False  # whether the numbers in memory are those of a parent process
        self._has_forked = False
        self._forking_pid = 0  # of the process that forks
        self._preparation: ref[object] | None = None  # to the object that exists until the main module is imported
        self._group: tuple[Supervisor, str] | None = None  # see `_find_group`
        self._tables: WeakList[AutomaticTable[Any]] = WeakList()

    def add_table(self, table: AutomaticTable[Any]) -> None:
        """Convert ``table`` with the others."""
        self._tables.add(table)

    def list_tables(self) -> list[AutomaticTable[Any]]:
        """Return the tables that have numbers in memory."""
        return [table for table in self._tables.list_alive() if table.successor is None or table.is_undecided]

    def begin(self) -> None:
        """Leave the state *unknown*. Raises `StorageError` if ``ASYNCMETRICS_DIR`` cannot be used."""
        if self._is_begun:
            return
        path = find_own_path()
        if path:
            self._use_directory(path)
        elif os.name == "posix":  # sharing needs flock and posix_fallocate
            self.multiprocess_path = find_multiprocess_path()
            if self.multiprocess_path:
                self._use_multiprocess_path()
            else:
                self._begin_without_path()
        self._is_begun = True

    def _use_directory(self, path: str) -> None:
        from asyncmetrics.storage.shared.storage import SharedStorage
        from asyncmetrics.storage.shared.supervisors import find_supervisor

        found = find_supervisor()  # gunicorn --preload declares metrics before there are workers
        storage = SharedStorage(path, serves=found is None or not found.is_this_process)
        storage.join()
        storage.watch_files()
        self.shared = storage

    def _use_multiprocess_path(self) -> None:
        from asyncmetrics.storage.shared.supervisors import find_supervisor, get_own_group

        self._share(find_supervisor() or get_own_group())

    def _begin_without_path(self) -> None:
        from asyncmetrics.storage.shared.supervisors import find_supervisor, is_being_prepared

        if is_being_prepared():
            # multiprocessing frees this object just before it calls the function of the process.
            self._preparation = ref(sys.modules["multiprocessing.process"].current_process(), self._end_preparation)
            return
        supervisor = find_supervisor()
        if supervisor is not None and supervisor.is_casual:
            self.is_undecided = self.opens_undecided = True
        elif supervisor is not None:
            self._share(supervisor)

    def _end_preparation(self, _: object = None) -> None:
        from asyncmetrics.storage.shared.supervisors import find_supervisor

        self._preparation = None
        supervisor = find_supervisor()
        if self.shared is not None or supervisor is None:
            return
        if supervisor.is_casual:
            self._suspend()
        else:
            self._share(supervisor)
            self._convert()

    def decide(self) -> None:
        """Leave the state *undecided*."""
        if self._preparation is not None:
            from asyncmetrics.storage.shared.supervisors import is_being_prepared

            if not is_being_prepared():  # the program holds the object
                self._end_preparation()
        if self.is_undecided:
            from asyncmetrics.storage.shared.supervisors import find_supervisor

            supervisor = find_supervisor()
            if supervisor is not None and self.shared is None:
                self._share(supervisor)
            self.opens_undecided = False
            self._convert()

    def prepare_scrape(self) -> None:
        """Decide, and share if children of this process do, or if other programs do; this one may have no metric."""
        self.begin()
        self.decide()
        if self.shared is None and not self.multiprocess_path and self._has_started_processes():
            from asyncmetrics.storage.shared.discovery import has_directory

            supervisor, path = self._find_group()
            if has_directory(path):
                self._share(supervisor)
                self._convert()

    def _has_started_processes(self) -> bool:
        """Return whether this process has forked one, or ``multiprocessing`` has started one."""
        counter = getattr(sys.modules.get("multiprocessing.process"), "_process_counter", None)
        return self._has_forked or (counter is not None and repr(counter) != "count(1)")

    def _find_group(self) -> tuple[Supervisor, str]:
        """Return the supervisor that children of this process find, and the path of the directory that they make."""
        if self._group is None:
            from asyncmetrics.storage.shared.discovery import build_path
            from asyncmetrics.storage.shared.supervisors import get_own_group

            supervisor = get_own_group()
            self._group = supervisor, build_path(supervisor)
        return self._group

    def _make_finder(self, supervisor: Supervisor) -> Callable[[], Directory]:
        from asyncmetrics.storage.shared.discovery import open_directory, open_multiprocess_directory

        if self.multiprocess_path:
            return partial(open_multiprocess_directory, self.multiprocess_path)
        return partial(open_directory, supervisor)

    def _share(self, supervisor: Supervisor) -> None:
        from asyncmetrics.storage.shared.storage import SharedStorage

        if self.is_unshared:
            return
        try:
            storage = SharedStorage.later(self._make_finder(supervisor), serves=not supervisor.is_this_process)
            storage.join()
            if self.multiprocess_path:
                storage.watch_files()
        except OSError as error:  # which the storage has logged
            pass_interruption(error)
            self.is_unshared = True
            return
        if self.shared is None:  # another thread, or a signal handler, may have been faster
            self.shared = storage
        else:
            storage.close()

    def _convert(self) -> None:
        """Convert all tables to the storage that was decided for; after an exception, the next use does the rest."""
        self.is_undecided = True
        is_inherited = self._is_inherited and self.shared is not None
        for table in self.list_tables():
            if table.is_undecided or self.shared is not None:
                table.convert(is_inherited=is_inherited)
        self.is_undecided = self._is_inherited = False

    def _suspend(self) -> None:
        self.is_undecided = self.opens_undecided = True
        for table in self.list_tables():
            table.suspend()

    def prepare_fork(self) -> None:
        """Share, in a supervisor that forks a worker."""
        self._forking_pid = os.getpid()
        if self.shared is None and not self.list_tables():
            return
        from asyncmetrics.storage.shared.supervisors import find_supervisor, get_own_group, is_forking_workers

        if not is_forking_workers():
            return
        if self.shared is None:
            self._share(get_own_group()._replace(is_this_process=True))
            self._convert()
        elif (found := find_supervisor()) is None or found.is_this_process:  # a variable names the directory
            self.shared.stop_serving()

    def note_fork(self) -> None:
        """Remember that this process has a child."""
        self._has_forked = True
        if self.shared is None and self._is_begun and os.name == "posix":
            self._find_group()  # now, and not at a scrape on an event loop

    def reset_after_fork(self) -> None:
        """Become undecided, in the child process."""
        record_fork(self._forking_pid)
        self._has_forked = False
        self._group = None
        if self._is_begun and (self.shared is None or self.is_undecided):  # another thread may have been converting
            self.is_unshared = False
            self._is_inherited = True
            if self.shared is None:
                self._suspend()


DECISION = Decision()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(
        before=DECISION.prepare_fork, after_in_parent=DECISION.note_fork, after_in_child=DECISION.reset_after_fork
    )
