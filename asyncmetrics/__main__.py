"""``python -m asyncmetrics``, which is the same as the command ``asyncmetrics``."""

from __future__ import annotations

import sys

from asyncmetrics.cli import main

if __name__ == "__main__":
    sys.exit(main())
