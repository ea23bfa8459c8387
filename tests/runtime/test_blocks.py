"""Blocks of the loop are counted by the function that causes them, while they last.

A machine that is busy may keep the watchdog from a block, so each test blocks again until the block is seen. It may
also make a block of any other function, so no test expects that there are no others.
"""

from __future__ import annotations

import ctypes
import json
import logging
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import chain, count
from pathlib import Path
from types import FunctionType

import anyio
import pytest

from asyncmetrics.runtime import RuntimeMonitor
from tests.patience import PATIENCE_SECONDS, wait_until

THRESHOLD = 0.05
BLOCK = 0.1
COUNT, SECONDS = "event_loop_blocks_total", "event_loop_blocked_seconds_total"


def sleep_long() -> None:
    time.sleep(BLOCK)


def wait_long() -> None:
    threading.Event().wait(BLOCK)  # its innermost frame is one of the standard library


def count_long() -> None:
    end = time.thread_time() + BLOCK
    while time.thread_time() < end:
        pass


def make_text() -> str:
    """Return a text that takes longer than a block to read, without a moment at which another thread could run."""
    text, seconds = "", 0.0
    size = 100_000
    while seconds < BLOCK:
        size *= 2
        text = f"[{'1.25,' * size}1]"
        began = time.thread_time()
        json.loads(text)
        seconds = time.thread_time() - began
    return text


@pytest.fixture(scope="module")
def parse_long() -> Callable[[], None]:
    text = make_text()

    def parse() -> None:
        result = json.loads(text)
        del result

    return parse


def make_call(seconds: float) -> Callable[[], object]:
    """Return a call of C code, which works for some seconds, and waits three times as long; it keeps the GIL."""
    numbers, worked = range(100_000), 0.0
    while worked < seconds:
        numbers = range(2 * len(numbers))
        began = time.thread_time()
        sum(numbers)
        worked = time.thread_time() - began
    wait = ctypes.PyDLL(None).usleep
    return lambda: deque(chain(map(sum, [numbers]), map(wait, [10_000] * int(300 * worked))), 0)


def name(function: Callable[[], object]) -> str:
    qualname = function.__qualname__ if sys.version_info >= (3, 11) else function.__name__
    return f"{function.__module__}:{qualname}"


@pytest.fixture
def block(registry, read):
    """Block the loop until a block is counted that has the expected name."""

    async def block_until_seen(function: Callable[[], object], expected: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not read(COUNT, function=expected):
            assert time.monotonic() < end
            await anyio.sleep(THRESHOLD / 2)  # in which the watchdog looks twice
            function()
            await anyio.sleep(THRESHOLD / 2)

    return block_until_seen


@pytest.mark.parametrize("function", [sleep_long, wait_long, count_long])
def test_a_block_has_the_name_of_the_function_of_the_program(function, run_kind, registry, block):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry, block_threshold=THRESHOLD):
            await block(function, name(function))

    run_kind(main)


def test_a_call_that_holds_the_gil_has_the_name_of_its_caller(parse_long, run_kind, registry, block):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry, block_threshold=THRESHOLD):
            await block(parse_long, name(parse_long))

    run_kind(main)


@pytest.mark.skipif(sys.platform == "win32", reason="no usleep")
def test_a_call_that_holds_the_gil_is_a_block_on_a_machine_that_is_busy(run_on, registry, block):
    """As if other processes had the processor for three quarters of the time. Only uvloop does not show its turns."""
    hold = make_call(BLOCK / 2)

    async def main() -> None:
        async with RuntimeMonitor(registry=registry, block_threshold=THRESHOLD):
            await block(hold, name(hold))

    run_on("uvloop", main)


def test_a_block_is_counted_while_it_lasts(run_kind, registry, read):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry, block_threshold=THRESHOLD):
            await anyio.sleep(THRESHOLD / 2)
            before, seconds = read(COUNT), read(SECONDS)
            wait_until(lambda: read(SECONDS) >= seconds + 3 * THRESHOLD)
            assert read(COUNT) <= before + 1

    run_kind(main)


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
def test_the_busy_time_is_counted_while_a_block_lasts(kind, run_on, registry, read):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry, block_threshold=THRESHOLD):
            await anyio.sleep(THRESHOLD / 2)
            wait_until(lambda: read("event_loop_busy_seconds_total"), lambda seconds: seconds >= 3 * THRESHOLD)

    run_on(kind, main)


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
def test_the_seconds_of_a_block_are_those_of_its_turn(kind, run_on, registry, read, block):
    """A turn that is counted as a block takes part in the sum of turns as long as in that of the blocks."""

    async def main() -> None:
        async with RuntimeMonitor(registry=registry, block_threshold=THRESHOLD):
            await block(sleep_long, name(sleep_long))
            await anyio.sleep(THRESHOLD)
        assert THRESHOLD <= read(SECONDS, function=name(sleep_long)) <= read("event_loop_turn_duration_seconds_sum")

    run_on(kind, main)


def test_turns_below_the_threshold_are_no_blocks(run_kind, registry, read):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry, block_threshold=PATIENCE_SECONDS):
            for _ in range(2):
                time.sleep(0.05)
                await anyio.sleep(0.01)
        assert read(COUNT) == 0

    run_kind(main)


def test_a_debugger_that_waits_is_no_block(run_on, registry, read, block):
    """The function has the module of a debugger."""
    cmdloop = FunctionType(sleep_long.__code__, {"__name__": "pdb", "time": time, "BLOCK": BLOCK})

    async def main() -> None:
        async with RuntimeMonitor(registry=registry, block_threshold=THRESHOLD):
            await anyio.sleep(THRESHOLD / 2)
            cmdloop()
            await anyio.sleep(THRESHOLD / 2)
            await block(sleep_long, name(sleep_long))
            assert read(COUNT, function=f"pdb:{name(sleep_long).partition(':')[2]}") == 0

    run_on("asyncio", main)


def test_a_new_function_is_logged_once_with_its_stack(run_on, registry, block, caplog):
    async def main() -> None:
        async with RuntimeMonitor(registry=registry, block_threshold=THRESHOLD):
            await block(sleep_long, name(sleep_long))
            for _ in range(2):
                sleep_long()
                await anyio.sleep(THRESHOLD / 2)

    def list_lines() -> list[str]:
        caplog.clear()
        run_on("asyncio", main)
        return [one.getMessage() for one in caplog.records if name(sleep_long) in one.getMessage()]

    with caplog.at_level(logging.WARNING, "asyncmetrics"):
        # A monitor that has just logged another function logs none for a minute.
        (line,) = wait_until(list_lines)
    assert "has blocked the event loop" in line
    assert "time.sleep(BLOCK)" in line


def test_there_are_at_most_a_hundred_functions(registry, run_on, read):
    """The metric has them all; the others share the series of `__overflow__`."""

    async def main() -> None:
        async with RuntimeMonitor(registry=registry, block_threshold=0.001):
            for number in count():
                function = FunctionType(
                    (lambda: time.sleep(0.003)).__code__.replace(co_name=f"f{number}", co_filename="app.py"),
                    {"__name__": f"app{number}", "time": time},
                )
                function()
                await anyio.sleep(0)
                if number % 20 == 19 and read(COUNT, function="__overflow__"):
                    break

    run_on("asyncio", main)
    series = [s.labels for f in registry.collect() for s in f.samples if s.name == COUNT]
    assert len(series) == 101
    assert {tuple(labels) for labels in series} == {("function",)}


PROGRAM = """
import asyncio, os, signal
from asyncmetrics import REGISTRY
from asyncmetrics.runtime import RuntimeMonitor

async def main():
    async with RuntimeMonitor(block_threshold=0.4):
        await asyncio.sleep(0.1)
        os.kill(os.getpid(), signal.SIGSTOP)
        await asyncio.sleep(0.2)
    families = await REGISTRY.collect_async()
    print([sample for family in families if "block" in family.name for sample in family.samples])

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the state of a process in /proc")
def test_a_process_that_was_stopped_was_not_blocked():
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    with process:

        def is_stopped() -> bool:
            stat = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8")
            return stat.rpartition(")")[2].split()[0] == "T"

        wait_until(is_stopped)
        time.sleep(0.6)
        process.send_signal(signal.SIGCONT)
        assert process.communicate(timeout=PATIENCE_SECONDS)[0] == "[]\n"
