"""Compare two libraries when counting interrupts itself, and when it runs beside threads and forks.

``python -m scripts.reentrancy`` runs each program with asyncmetrics and with prometheus_client, in its own process with
a time limit, and prints a table of the outcomes. The tests (tests/concurrency) run the same programs.

Rules:

- Measure the work of a program in processor time and in counts, so that a busy machine makes it slower but not wrong.
- Use the clock only for the time limit. A deadlock uses no processor time, so nothing else detects it. The tests expect
  no program to hang and give each ten minutes. The table expects prometheus_client to hang and gives each 40 s.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from itertools import product

__all__ = ("FINE", "LIBRARIES", "PROGRAMS", "main", "run_program")

LIBRARIES = ("asyncmetrics", "prometheus_client")
FINE = "fine"
_SECONDS = 600
_TABLE_SECONDS = 40
_CHILDREN = 20  # a program forks so many processes, one after the other; each gets an equal share of the time

# The beginning of every program. A program appends the faults that it finds to `problems`.
_HEAD = """
import asyncio, atexit, gc, itertools, os, signal, sys, threading, time
import {library} as library

CHILD_SECONDS = {child_seconds}

registry = library.CollectorRegistry()
counter = library.Counter("c", "C.", ["n"], registry=registry)
gauge = library.Gauge("g", "G.", ["n"], registry=registry)
histogram = library.Histogram("h", "H.", buckets=[1, 2], registry=registry)
same = counter.labels("same")
numbers = itertools.count()

def increments():
    same.inc()
    histogram.observe(0.5)

def creates():
    counter.labels(str(next(numbers) % 500)).inc()
    gauge.labels(str(next(numbers) % 50)).set(1)
    counter.remove(str(next(numbers) % 500))

def collects():
    return library.generate_latest(registry).decode()

def declares():
    registry.unregister(library.Counter(f"new{next(numbers)}", "N.", registry=registry))

def everything():
    for _ in range(20):
        increments(); creates()
    declares()
    collects()

def busy(seconds=0.25, fired=range(50), first=lambda: None):
    end = time.process_time() + seconds
    while time.process_time() < end or len(fired) < 50:
        first(); everything()

def threads(count, work):
    made = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    for thread in made:
        thread.start()
    return made

problems = []
"""
_FOOT = """
print("; ".join(problems) or "fine")
"""

_INTERRUPTIONS = {
    "a signal handler": """
        fired, over = [], []
        def handle(*_):
            {does}()
            fired.append(1)
            if not over: signal.setitimer(signal.ITIMER_REAL, 0.0003)
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.0003)
        busy(fired=fired)
        over.append(1)  # otherwise a late handler would set the timer again, whose signal would end the interpreter
        signal.setitimer(signal.ITIMER_REAL, 0)
    """,
    "a finaliser": """
        fired = []
        class Finalised:
            def __init__(self): self.me = self
            def __del__(self): {does}(); fired.append(1)
        gc.set_threshold(20, 2, 2)
        busy(fired=fired, first=Finalised)
    """,
    "a callback of the garbage collector": """
        fired = []
        def called(*_):
            {does}(); fired.append(1)
        gc.callbacks.append(called)
        gc.set_threshold(20, 2, 2)
        busy(fired=fired)
        gc.callbacks.clear()
    """,
}
_ACTIONS = {
    "increments": "increments",
    "creates children": "creates",
    "declares metrics": "declares",
    "collects": "collects",
}

PROGRAMS: dict[str, str] = {
    f"{where} {what}": program.replace("{does}", _ACTIONS[what])
    for (where, program), what in product(_INTERRUPTIONS.items(), _ACTIONS)
} | {
    "forks while other threads are inside": """
        stop = threading.Event()
        def work():
            while not stop.is_set(): everything()
        working = threads(3, work)
        hung = 0
        for _ in range(20):
            pid = os.fork()
            if not pid:
                signal.alarm(CHILD_SECONDS)
                everything()
                library.Counter("new", "N.", registry=registry).inc()
                collects()
                os._exit(0)
            hung += os.waitpid(pid, 0)[1] != 0
        stop.set()
        for thread in working: thread.join()
        if hung: problems.append(f"{hung} of 20 children hang")
    """,
    "forks in a signal handler": """
        hung = []
        def handle(*_):
            pid = os.fork()
            if not pid:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(CHILD_SECONDS)
                everything()
                os._exit(0)
            hung.append(os.waitpid(pid, 0)[1] != 0)
            if len(hung) < 20: signal.setitimer(signal.ITIMER_REAL, 0.001)
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        while len(hung) < 20: everything()
        if any(hung): problems.append(f"{sum(hung)} of 20 children hang")
    """,
    "8 threads and a loop increment 200,000 times each": """
        sys.setswitchinterval(1e-6)
        plain = library.Counter("plain", "P.", registry=registry)
        def work():
            for _ in range(200_000): plain.inc()
        async def tasks():
            async def task():
                for number in range(50_000):
                    plain.inc()
                    if not number % 100: await asyncio.sleep(0)
            await asyncio.gather(*[task() for _ in range(4)])
        working = threads(8, work)
        asyncio.run(tasks())
        for thread in working: thread.join()
        lost = 9 * 200_000 - registry.get_sample_value("plain_total")
        if lost: problems.append(f"{lost} lost")
    """,
    "a histogram is read while observed": """
        sys.setswitchinterval(1e-6)
        stop = threading.Event()
        def work():
            while not stop.is_set(): histogram.observe(1.0)
        working = threads(2, work)
        wrong = 0
        for _ in range(1000):
            values = {(s.name, s.labels.get("le")): s.value for family in histogram.collect() for s in family.samples}
            count = values["h_count", None]
            wrong += not count == values["h_bucket", "+Inf"] == values["h_sum", None]
        stop.set()
        for thread in working: thread.join()
        if wrong: problems.append(f"{wrong / 10:.0f} % of snapshots disagree")
    """,
    "children come and go during collections": """
        sys.setswitchinterval(1e-5)
        stop = threading.Event()
        for number in range(300): counter.labels(f"stays {number}").inc()
        failed = []
        def work():
            try:
                while not stop.is_set():
                    creates()
                    if not next(numbers) % 200: gauge.clear()
            except Exception as error: failed.append(repr(error))
        working = threads(3, work)
        for _ in range(100):
            lines = [line.rpartition(" ")[0] for line in collects().splitlines() if line[:1] != "#"]
            if len(set(lines)) < len(lines): problems.append("a line twice")
            if sum(line.startswith('c_total{n="stays') for line in lines) != 300: problems.append("a line lost")
        stop.set()
        for thread in working: thread.join()
        problems += failed
    """,
    "one child is created by 8 threads at once": """
        sys.setswitchinterval(1e-6)
        start = threading.Barrier(8)
        def work():
            start.wait()
            for number in range(2000): counter.labels(f"new {number}").inc()
        for thread in threads(8, work): thread.join()
        values = [s.value for family in counter.collect() for s in family.samples if "new" in s.labels["n"]]
        values = [value for value in values if value < 1e9]  # no times of creation
        if values != [8.0] * 2000: problems.append(f"{8 * 2000 - sum(values)} lost")
    """,
    "the interpreter shuts down under daemon threads": """
        rounds = []
        def work():
            while True: everything(); rounds.append(1)
        threads(3, work)
        while len(rounds) < 100: time.sleep(0.01)
    """,
    "atexit counts and collects": """
        atexit.register(everything)
        threads(2, lambda: busy(0.3))
        busy(0.2)
    """,
    "finalisers count while modules are taken down": """
        class Last:
            def __init__(self): self.me = self
            def __del__(self, everything=everything): everything()
        sys.modules["last"] = Last()
        library.last = Last()
    """,
    "the wall clock is set back an hour": """
        library.enable_created_metrics()
        now = time.time
        time.time = lambda: now() - 3600
        with histogram.time(): everything()
        values = {s.name: s.value for family in registry.collect() for s in family.samples}
        if values["h_sum"] < 0: problems.append("a negative duration")
        if max(value for name, value in values.items() if name.endswith("_created")) > time.time():
            problems.append("created in the future")
    """,
}


def run_program(program: str, library: str, seconds: float = _SECONDS) -> str:
    """Run a program with a library and return the outcome: `FINE`, the faults that it prints, or how it ended."""
    child_seconds = max(1, int(seconds / _CHILDREN))
    head = _HEAD.replace("{library}", library).replace("{child_seconds}", str(child_seconds))
    code = head + textwrap.dedent(program) + _FOOT
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code]  # 3.12 warns of forks with threads
    try:
        done = subprocess.run(  # noqa: S603  # the program is one of those above
            command, timeout=seconds, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        return "hangs"
    if done.returncode or done.stderr:
        return f"ends with {done.returncode}: {(done.stderr.splitlines() or ['no message'])[-1]}"
    return done.stdout.strip()


def main() -> int:
    """Print the table."""
    cases = list(product(PROGRAMS, LIBRARIES))
    with ThreadPoolExecutor(2) as pool:  # threads are enough: they only wait for other processes
        results = pool.map(lambda case: run_program(PROGRAMS[case[0]], case[1], _TABLE_SECONDS), cases)
        outcomes = dict(zip(cases, results, strict=True))
    print(f"| program | {' | '.join(LIBRARIES)} |\n|---|{'---|' * len(LIBRARIES)}")
    for name in PROGRAMS:
        print(f"| {name} | {' | '.join(outcomes[name, library] for library in LIBRARIES)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
