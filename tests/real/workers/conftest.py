"""Servers with several workers, clients that count what was answered, and a thread that ends workers at random.

``ASYNCMETRICS_CHAOS_SECONDS`` says how long each test goes on; ``pytest -s`` prints what was seen.
"""

from __future__ import annotations

import http.client
import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pytest

from tests.patience import wait_until
from tests.servers.worker_servers import LAUNCHERS, RECYCLING, SERVERS, Workers, run_workers


@dataclass
class Tally:
    """What clients saw, and what was found wrong."""

    asked: list[tuple[float, float]] = field(default_factory=list)  # when each answer was asked for, and was there
    failed: int = 0
    scrapes: int = 0
    kills: int = 0
    pids: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    scrape_seconds: list[float] = field(default_factory=list)
    memory_bytes: list[float] = field(default_factory=list)  # of the largest worker, at each scrape

    @property
    def answered(self) -> int:
        return len(self.asked)

    def __str__(self) -> str:
        first, last = (median(part) * 1e3 for part in (self.scrape_seconds[:20], self.scrape_seconds[-20:]))
        begun, ended = (max(part) / 1e6 for part in (self.memory_bytes[:20], self.memory_bytes[-20:]))
        return (
            f"{self.kills} ended, {len(self.pids)} workers, {self.scrapes} scrapes, {len(self.wrong)} backward steps, "
            f"{self.answered} answered, {self.failed} failed, a scrape took {first:.0f} ms and {last:.0f} ms in the end"
            f", a worker had {begun:.0f} MB and {ended:.0f} MB in the end"
        )


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory in memory where workers may make theirs."""
    base = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path("/tmp")
    path = base / f"test-{os.getpid()}-{random.randrange(1 << 32)}"
    path.mkdir()
    yield path
    shutil.rmtree(path)


@pytest.fixture
def start(place) -> Iterator[Callable[..., Workers]]:
    """Start a server: ``start("uvicorn", "--limit-max-requests 100", workers=3)``."""
    with ExitStack() as stack:
        yield lambda name, options="", workers=3, **environment: stack.enter_context(
            run_workers(name, options, workers, place, environment)
        )


class Load:
    """Clients that ask, one that scrapes, and maybe one that ends workers, until the time is over."""

    def __init__(self, server: Workers, signals: tuple[int, ...], pause: float) -> None:
        self.server = server
        self.tally = Tally()
        self._signals = signals
        self._pause = pause * (3 if server.name == "hypercorn" else 1)
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def run(self, seconds: float, enough: Callable[[Tally], bool]) -> Tally:
        """Run for so long, and then until ``enough`` returns true; return what was seen."""
        tasks = [self._ask, self._ask, self._ask, self._scrape, *([self._kill] if self._signals else [])]
        threads = [threading.Thread(target=task) for task in tasks]
        for thread in threads:
            thread.start()
        self._stop.wait(seconds)
        try:
            wait_until(lambda: self.tally, lambda tally: tally.scrapes and enough(tally))
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
        return self.tally

    def _ask(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            began = time.time()
            try:
                status, pid = self.server.get(f"/items/{number}")
            except (OSError, http.client.HTTPException):
                with self._lock:
                    self.tally.failed += 1
                continue
            with self._lock:
                if status == 200:
                    self.tally.asked.append((began, time.time()))
                self.tally.failed += status != 200
                self.tally.pids.add(pid)

    def _scrape(self) -> None:
        before: dict = {}
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                found = self.server.samples()
            except (OSError, http.client.HTTPException):
                continue
            self.tally.scrape_seconds.append(time.monotonic() - began)
            self.tally.scrapes += 1
            for key, value in before.items():
                if _counts(key) and found.get(key, 0) < value:
                    self.tally.wrong.append(f"{key}: {value} and then {found.get(key)}")
            memory = [value for (name, _), value in found.items() if name == "process_resident_memory_bytes"]
            self.tally.memory_bytes.append(max(memory, default=0))
            before = found
            time.sleep(0.005)

    def _kill(self) -> None:
        chance = random.Random(7)
        while not self._stop.wait(self._pause * chance.uniform(0.2, 1.8)):
            pids = self.server.pids()
            if len(pids) > 1:
                with suppress(ProcessLookupError):
                    # granian gives up on a worker that ends soon after the one before: always end the oldest
                    choices = {"granian": pids[:1], "hypercorn": [self.server.process.pid]}
                    pid = chance.choice(choices.get(self.server.name.partition("-")[0], pids))
                    os.kill(pid, chance.choice(self._signals))
                    self.tally.kills += 1


def _counts(key: tuple[str, frozenset[tuple[str, str]]]) -> bool:
    """Return whether a sample never goes back: a counter over all workers."""
    name, labels = key
    return name.endswith(("_total", "_count", "_bucket", "_sum")) and not any(label == "worker" for label, _ in labels)


@pytest.fixture
def load() -> Callable[..., Tally]:
    """Put a server under load: ``tally = load(server, 5, ending=True, enough=lambda tally: tally.kills >= 3)``."""
    return lambda server, seconds, ending=False, pause=0.25, enough=lambda tally: True: Load(
        server, (SERVERS | LAUNCHERS)[server.name][2] if ending else (), pause
    ).run(seconds, enough)


@pytest.fixture(scope="session")
def seconds() -> float:
    """How long a test goes on."""
    return float(os.environ.get("ASYNCMETRICS_CHAOS_SECONDS", "3"))


@pytest.fixture(params=SERVERS)
def name(request) -> str:
    """Every server in turn."""
    return request.param


@pytest.fixture(params=LAUNCHERS)
def launcher(request) -> str:
    """Every other way to start a server in turn."""
    return request.param


@pytest.fixture
def recycling(name) -> str:
    """The option that replaces a worker after so many requests; granian goes by time, in whole minutes."""
    if name not in RECYCLING:
        pytest.skip(f"{name} does not replace workers after a number of requests")
    return RECYCLING[name]
