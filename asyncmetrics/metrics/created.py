"""Whether ``_created`` samples are exposed: a switch for the whole process, off unless it is turned on.

``PROMETHEUS_DISABLE_CREATED_SERIES`` is honoured: set to ``false`` it turns them on at import, as in prometheus_client.
"""

from __future__ import annotations

import os

__all__ = ("created_enabled", "disable_created_metrics", "enable_created_metrics")

_enabled = os.environ.get("PROMETHEUS_DISABLE_CREATED_SERIES", "true").lower() in {"false", "0", "f"}


def created_enabled() -> bool:
    """Return whether ``_created`` samples are exposed."""
    return _enabled


def enable_created_metrics() -> None:
    """Expose when each counter, summary and histogram was created (OpenMetrics only)."""
    global _enabled  # the switch is the module's, as in prometheus_client
    _enabled = True


def disable_created_metrics() -> None:
    """Stop exposing when metrics were created."""
    global _enabled  # the switch is the module's, as in prometheus_client
    _enabled = False
