"""When a process started, which tells it from a later one with the same id."""

from __future__ import annotations

from pathlib import Path

__all__ = ("read_start_time",)


def read_start_time(pid: int) -> int:
    """Return when a process began, in clock ticks since the boot; 0 if it is gone or cannot be seen."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[19])
    except (OSError, ValueError, IndexError):
        return 0
