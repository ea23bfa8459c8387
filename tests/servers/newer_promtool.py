"""A newer promtool than Debian 12's (tests/servers/newer_programs.py)."""

from __future__ import annotations

from tests.servers.newer_programs import find_newer_program
from tests.servers.requirements import find_program

__all__ = ("PROMTOOLS", "find_promtool")

PROMTOOLS = ("promtool", "newer promtool")


def find_promtool(name: str) -> str:
    """Return the path of one of `PROMTOOLS`; skip the test if the newer one is not named by the environment."""
    return find_program(name) if name == "promtool" else find_newer_program("promtool")
