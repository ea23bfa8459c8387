"""A newer promtool than Debian 12's, the second tier: no run fails because it is missing."""

from __future__ import annotations

import os

import pytest

from tests.servers.requirements import find_program

__all__ = ("PROMTOOLS", "find_promtool")

PROMTOOLS = ("promtool", "newer promtool")
VARIABLE = "ASYNCMETRICS_NEWER_PROMTOOL"


def find_promtool(name: str) -> str:
    """Return the path of one of `PROMTOOLS`; skip the test if the newer one is not named by the environment.

    The variable is ``ASYNCMETRICS_NEWER_PROMTOOL``, the path of a promtool 3.
    """
    if name == "promtool":
        return find_program(name)
    path = os.environ.get(VARIABLE)
    if not path:
        pytest.skip(f"newer promtool: {VARIABLE} is not set")
    return path
