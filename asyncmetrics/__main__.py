"""Print the default metrics of a new process, in the text format: ``python -m asyncmetrics``."""

from __future__ import annotations

import sys

from asyncmetrics import generate_latest

if __name__ == "__main__":
    sys.stdout.write(generate_latest().decode())
