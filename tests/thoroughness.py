"""How much tests that draw examples try: a third of it, or all of it with ``ASYNCMETRICS_THOROUGH=1``.

Each run draws other examples, and `.ci/run` has a run for each interpreter, of which one is thorough.
"""

from __future__ import annotations

import os

__all__ = ("IS_THOROUGH", "examples")

IS_THOROUGH = os.environ.get("ASYNCMETRICS_THOROUGH") == "1"
_SHARE = 3


def examples(count: int) -> int:
    """Return the ``max_examples`` of a property test whose thorough runs need ``count``."""
    return count if IS_THOROUGH else max(count // _SHARE, 1)
