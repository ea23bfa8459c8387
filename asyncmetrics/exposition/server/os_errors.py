"""OSErrors that name the option which caused them: the system's own message names neither port nor file."""

from __future__ import annotations

__all__ = ("explain_error",)


def explain_error(error: OSError, problem: str) -> OSError:
    """Return ``error`` with a message that begins with ``problem``."""
    return OSError(error.errno, f"{problem}: {error.strerror or error}")
