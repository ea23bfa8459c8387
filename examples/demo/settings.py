"""The demo's settings in the environment; one that makes no sense ends the program with one line."""

import os
import sys
from collections.abc import Callable
from math import inf
from typing import TypeVar

T = TypeVar("T", bound=float)  # an int as well


def read_seconds() -> float:
    """Return ``DEMO_SECONDS``, after which the demo ends."""
    return _read("DEMO_SECONDS", float, inf, inf, "a number of seconds, such as 20")


def read_port() -> int:
    """Return ``DEMO_PORT``, where the shop listens."""
    return _read("DEMO_PORT", int, 0, 65535, "a port from 1 to 65535, or 0 for any that is free")


def _read(name: str, parse: Callable[[str], T], default: T, most: float, expected: str) -> T:
    text = os.environ.get(name)
    try:
        number = parse(text) if text else default
    except ValueError:
        number = None
    if number is None or not 0 <= number <= most:
        sys.exit(f"{name}={text}: expected {expected}")
    return number
