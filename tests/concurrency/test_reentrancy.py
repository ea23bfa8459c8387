"""Counting in signal handlers, finalisers, collector callbacks, forks and at the end never hangs and never raises.

Each program runs in a process of its own, with a watchdog.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

SECONDS = 20

HEAD = """
import gc, os, signal, sys, threading, time, weakref
from asyncmetrics import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
registry = CollectorRegistry()
counter = Counter("c", "C.", ["n"], registry=registry)
histogram = Histogram("h", "H.", registry=registry)
gauge = Gauge("g", "G.", ["n"], registry=registry)
numbers = iter(range(10**9))
def count():
    counter.labels("same").inc()
    counter.labels(next(numbers) % 500).inc()
    counter.remove(str(next(numbers) % 500))
    histogram.observe(0.1)
    gauge.labels(next(numbers) % 50).set(1)
def busy(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        count()
        generate_latest(registry)
"""

PROGRAMS = {
    "a signal handler": """
        fired = []
        def handle(*_):
            count(); generate_latest(registry); fired.append(1)
            signal.setitimer(signal.ITIMER_REAL, 0.0003)
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.0003)
        busy(1.5)
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert len(fired) > 100
    """,
    "a finaliser": """
        done = []
        class Finalised:
            def __init__(self): self.me = self
            def __del__(self): count(); done.append(1)
        gc.set_threshold(20, 2, 2)
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            Finalised(); count(); generate_latest(registry)
        assert len(done) > 100
    """,
    "a callback of the garbage collector": """
        done = []
        gc.callbacks.append(lambda *_: (count(), done.append(1)))
        gc.set_threshold(20, 2, 2)
        busy(1.5)
        assert len(done) > 100
    """,
    "a fork while other threads count": """
        stop = threading.Event()
        def work():
            while not stop.is_set(): count()
        threads = [threading.Thread(target=work) for _ in range(3)]
        [t.start() for t in threads]
        for _ in range(20):
            pid = os.fork()
            if not pid:
                count(); generate_latest(registry); Counter("new", "N.", registry=registry)
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        stop.set()
    """,
    "daemon threads and atexit": """
        import atexit
        atexit.register(count)
        atexit.register(lambda: generate_latest(registry))
        def work():
            while True: count()
        [threading.Thread(target=work, daemon=True).start() for _ in range(3)]
        time.sleep(0.2)
    """,
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals and forks of Unix")
def test_counting_is_safe_in(program, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(HEAD + textwrap.dedent(PROGRAMS[program]))
    command = [sys.executable, "-W", "ignore::DeprecationWarning", str(script)]  # 3.12 warns of forks with threads
    ended = subprocess.run(command, timeout=SECONDS, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
