"""Label values that a client chooses, limited to few: methods, statuses, schemes, close codes.

A client could otherwise create series without end (CVE-2022-21698).
"""

from __future__ import annotations

from typing import Any

__all__ = ("METHODS", "OTHER", "STATUSES", "limit_close_code", "limit_method", "limit_scheme", "limit_status")

OTHER = "_OTHER"

# RFC 9110, section 9.3; PATCH is RFC 5789; QUERY is draft-ietf-httpbis-safe-method-w-body. Case matters (9.1).
METHODS = {
    method: method
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY")
}
"""The methods that are labels as they are."""
STATUSES = {status: str(status) for status in range(100, 600)}
"""The statuses that are labels, as text."""
_SCHEMES = frozenset({"http", "https", "ws", "wss"})
_CLOSE_CODE_RANGES = {3: "3xxx", 4: "4xxx"}


def limit_method(method: Any) -> str:
    """Return a method of HTTP unchanged, and ``_OTHER`` for anything else."""
    try:
        return method if method in METHODS else OTHER
    except TypeError:  # not hashable
        return OTHER


def limit_status(status: Any) -> str:
    """Return a status code as text, and ``_OTHER`` for anything else (RFC 9110, section 15)."""
    try:
        return STATUSES.get(status, OTHER)
    except TypeError:  # not hashable
        return OTHER


def limit_scheme(scheme: object) -> str:
    """Return a scheme of HTTP or WebSocket unchanged, and ``_OTHER`` for anything else."""
    return scheme if isinstance(scheme, str) and scheme in _SCHEMES else OTHER


def limit_close_code(code: object) -> str:
    """Return a close code (RFC 6455, section 7.4) as text, from 3000 on its range, and ``_OTHER`` for anything else."""
    if isinstance(code, int):
        return str(int(code)) if 1000 <= code <= 1015 else _CLOSE_CODE_RANGES.get(code // 1000, OTHER)
    return OTHER
