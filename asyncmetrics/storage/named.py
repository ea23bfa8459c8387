"""The environment variables that name a directory to share: ``ASYNCMETRICS_DIR``, and those of prometheus_client.

``ASYNCMETRICS_DIR`` wins. It names the shared directory itself. The other two, of which the one in lower case is the
older, name a directory that other users may write to, so the shared directory is made in it
(`asyncmetrics.storage.shared.discovery`).
"""

from __future__ import annotations

import os

__all__ = ("find_multiprocess_path", "find_own_path")


def find_own_path() -> str:
    """Return the directory of ``ASYNCMETRICS_DIR``, an empty text if it names none."""
    return os.environ.get("ASYNCMETRICS_DIR", "")


def find_multiprocess_path() -> str:
    """Return the directory of ``PROMETHEUS_MULTIPROC_DIR``, an empty text if it names none."""
    return os.environ.get("PROMETHEUS_MULTIPROC_DIR") or os.environ.get("prometheus_multiproc_dir", "")  # noqa: SIM112
