"""Label values that a client could otherwise invent without end: methods, statuses, schemes, close codes."""

from __future__ import annotations

from typing import Any

__all__ = ("OTHER", "bound_close_code", "bound_method", "bound_scheme", "bound_status")

OTHER = "_OTHER"

# RFC 9110, section 9.3; PATCH is RFC 5789; QUERY is draft-ietf-httpbis-safe-method-w-body. Case matters (9.1).
_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"},
)
_STATUSES = {status: str(status) for status in range(100, 600)}
_SCHEMES = frozenset({"http", "https", "ws", "wss"})
_CLOSE_CODE_RANGES = {3: "3xxx", 4: "4xxx"}


def bound_method(method: Any) -> str:
    """Return a method of HTTP as it is, and anything else as ``_OTHER`` (CVE-2022-21698 was the lack of this)."""
    try:
        return method if method in _METHODS else OTHER
    except TypeError:  # nothing that can be looked up
        return OTHER


def bound_status(status: Any) -> str:
    """Return a status code as text, and what is none (RFC 9110, section 15) as ``_OTHER``."""
    try:
        return _STATUSES.get(status, OTHER)
    except TypeError:
        return OTHER


def bound_scheme(scheme: object) -> str:
    """Return a scheme that servers of HTTP and WebSocket have, and anything else as ``_OTHER``."""
    return scheme if isinstance(scheme, str) and scheme in _SCHEMES else OTHER


def bound_close_code(code: object) -> str:
    """Return a close code (RFC 6455, section 7.4) as one of few texts: its range from 3000 on, ``_OTHER`` for none."""
    if isinstance(code, int):
        return str(int(code)) if 1000 <= code <= 1015 else _CLOSE_CODE_RANGES.get(code // 1000, OTHER)
    return OTHER
