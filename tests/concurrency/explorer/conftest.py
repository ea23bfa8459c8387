"""Leave the explorer out where something else traces: CPython 3.12 crashes if two threads do, as under coverage."""

from __future__ import annotations

import sys

collect_ignore_glob = [] if sys.gettrace() is None else ["test_*.py"]
