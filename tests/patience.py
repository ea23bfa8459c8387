"""How long tests wait for what must come: so long that only a hang takes longer, however busy the machine is.

Rules:

- Wait with `wait_until`, `wait_for` or `eventually` for a state that must come. Do not sleep instead.
- Give `PATIENCE_SECONDS` to every wait that only guards against a hang, and `PROGRAM_SECONDS` to a whole program.
- Use a shorter timeout only where the test expects that the time runs out.
- Bound a measured time by times that the test takes itself before and after, never by a number.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import anyio
import httpx
from hypothesis import HealthCheck, settings

from tests.thoroughness import examples

__all__ = (
    "PATIENCE_SECONDS",
    "PROGRAM_SECONDS",
    "be_patient_with_examples",
    "be_patient_with_servers",
    "eventually",
    "pause",
    "wait_for",
    "wait_until",
)

T = TypeVar("T")

PATIENCE_SECONDS = 120
PROGRAM_SECONDS = 600

_PAUSE_SECONDS = 0.02
_ATTEMPTS = 100


def wait_until(
    read: Callable[[], T],
    is_expected: Callable[[T], object] = bool,
    *,
    pause: float = _PAUSE_SECONDS,
    seconds: float = PATIENCE_SECONDS,
) -> T:
    """Call ``read`` until what it returns is as expected, and return that; fail with the last value after a hang."""
    for _ in _attempts(seconds):
        if is_expected(found := read()):
            return found
        time.sleep(pause)
    raise AssertionError(f"after {seconds} s there is still {found!r}")


def wait_for(read: Callable[[], T], expected: T) -> None:
    """Wait until ``read`` returns what is expected."""
    wait_until(read, lambda found: found == expected)


async def eventually(read: Callable[[], T], expected: T) -> None:
    """Wait as `wait_for` does, but let the event loop run meanwhile."""
    for _ in _attempts():
        if (found := read()) == expected:
            return
        await anyio.sleep(_PAUSE_SECONDS)
    assert found == expected


async def pause(seconds: float = _PAUSE_SECONDS) -> float:
    """Sleep on the event loop, and return how long that took: a wait that has begun before it is at least as long."""
    began = time.perf_counter()
    await anyio.sleep(seconds)
    return time.perf_counter() - began


def _attempts(seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Yield until there were enough attempts and the time is over: a test that gets no processor makes few of them."""
    deadline = time.monotonic() + seconds
    number = 0
    while number < _ATTEMPTS or time.monotonic() < deadline:
        yield
        number += 1


def be_patient_with_servers() -> None:
    """Give `PATIENCE_SECONDS` instead of 5 s to every use of httpx that names no timeout.

    All functions and clients of httpx have the same object as their default, so this covers every file.
    """
    default = inspect.signature(httpx.Client).parameters["timeout"].default
    default.connect = default.read = default.write = default.pool = PATIENCE_SECONDS


def be_patient_with_examples() -> None:
    """Switch off what hypothesis decides by the clock; the profiles of folders start from this one.

    A list of health checks in a test replaces the list here. So this one also has the check that several tests
    switch off: their examples share the fixtures of a function on purpose.
    """
    suppressed = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    settings.register_profile("patient", deadline=None, max_examples=examples(100), suppress_health_check=suppressed)
    settings.load_profile("patient")
