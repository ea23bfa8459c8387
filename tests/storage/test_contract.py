"""The contract of all storages, over each: in memory, with locks, shared with one process and with three."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from asyncmetrics import CollectorRegistry
from asyncmetrics.storage import MemoryStorage, SharedStorage
from asyncmetrics.storage.automatic import AutomaticStorage
from asyncmetrics.testing import Reader, StorageContract


class TestMemory(StorageContract):
    def make_storage(self):
        return MemoryStorage(locking=False)


class TestMemoryWithLocks(StorageContract):
    def make_storage(self):
        return MemoryStorage(locking=True)


class TestAutomatic(StorageContract):
    def make_storage(self):
        return AutomaticStorage()


class TestShared(StorageContract):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path):
        self.path = str(tmp_path / "metrics")

    def make_storage(self):
        return SharedStorage(self.path)


class TestSharedWithLocks(TestShared):
    def make_storage(self):
        return SharedStorage(self.path, locking=True)


class TestSharedByThreeProcesses(TestShared):
    """Three forked workers take the steps in turn; a fourth process, which counts nothing, reads."""

    def run(self, declare, steps):
        workers = [_worker(lambda: CollectorRegistry(storage=self.make_storage()), declare, steps) for _ in range(3)]
        for worker in workers:
            next(worker)  # begun
        for number in range(len(steps)):
            workers[number % 3].send(number)
        registry = CollectorRegistry(storage=self.make_storage())
        declare(registry)
        read = Reader(registry)
        for worker in workers:
            worker.close()
        return read


def _worker(make_registry, declare, steps) -> Iterator[None]:
    """Take a step in a process of its own whenever its number is sent."""
    orders, ordered = os.pipe()
    answers, answered = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(ordered)
        try:
            declared = declare(make_registry())
            os.write(answered, b"+")
            while order := os.read(orders, 1):
                steps[order[0]](declared)
                os.write(answered, b"+")
        finally:
            os._exit(0)
    os.close(answered)
    os.close(orders)
    try:
        assert os.read(answers, 1) == b"+"
        while True:
            number = yield
            os.write(ordered, bytes([number]))
            assert os.read(answers, 1) == b"+", f"step {number} failed"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(ordered)
        os.close(answers)
