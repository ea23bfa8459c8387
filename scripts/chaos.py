"""End workers of every server under load, and print what was seen: ``python -m scripts.chaos [seconds]``.

The tests in tests/real/workers/test_chaos.py do the work, each for so many seconds. They fail if an answer is not
counted, or if a counter decreases.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys

__all__ = ("run_chaos",)

_KILLS = re.compile(r"^\.?(\S+): (\d+) ended, ")


def run_chaos(seconds: float) -> int:
    """Run the tests, print a line for each server, and return the exit status of pytest."""
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "tests/real/workers/test_chaos.py"]
    command += ["-k", "random or started"]
    settings = {**os.environ, "ASYNCMETRICS_CHAOS_SECONDS": str(seconds)}
    kills = 0
    with subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        for line in process.stdout:
            match = _KILLS.match(line)
            kills += int(match[2]) if match else 0
            print(line.strip(), flush=True)
    print(f"{kills} workers were ended")
    return process.returncode


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m scripts.chaos", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("seconds", type=float, nargs="?", default=20.0, help="how long, for each server (20)")
    sys.exit(run_chaos(parser.parse_args().seconds))
