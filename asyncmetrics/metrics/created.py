"""Whether ``_created`` samples are exposed: a switch for the whole process, which is off by default.

The environment variable ``PROMETHEUS_DISABLE_CREATED_SERIES`` with the value ``false`` turns it on at import, as in
prometheus_client.
"""

from __future__ import annotations

import os

__all__ = ("disable_created_metrics", "enable_created_metrics", "is_created_enabled")

# The opposites of the values that disable it in prometheus_client (0.26): true, 1, t.
_enabled = os.environ.get("PROMETHEUS_DISABLE_CREATED_SERIES", "true").lower() in {"false", "0", "f"}


def is_created_enabled() -> bool:
    """Return whether ``_created`` samples are exposed."""
    return _enabled


def enable_created_metrics() -> None:
    """Expose the creation time of each counter, summary and histogram in all text formats."""
    global _enabled  # one switch for the process, as in prometheus_client
    _enabled = True


def disable_created_metrics() -> None:
    """Stop exposing creation times."""
    global _enabled  # one switch for the process, as in prometheus_client
    _enabled = False
