"""The start time of a process, which distinguishes it from a later process with the same id."""

from __future__ import annotations

from pathlib import Path

from asyncmetrics.interruptions import pass_interruption

__all__ = ("read_start_time",)


def read_start_time(pid: int) -> int:
    """Return when a process started, in clock ticks since the boot; 0 if it has ended or cannot be seen."""
    try:
        # Fields 3 and 22 of proc_pid_stat(5). The name, field 2, may contain anything, so count from its closing
        # parenthesis. A zombie has ended, but its parent does not know yet.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return 0 if fields[0] in {b"Z", b"X"} else int(fields[19])
    except (OSError, ValueError, IndexError) as error:
        pass_interruption(error)
        return 0
