"""Label values that a client could otherwise invent without end: methods and statuses."""

from __future__ import annotations

__all__ = ("OTHER", "method_label", "status_label")

OTHER = "_OTHER"

# RFC 9110, section 9.3; PATCH is RFC 5789; QUERY is draft-ietf-httpbis-safe-method-w-body. Case matters (9.1).
_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"},
)
_STATUSES = {status: str(status) for status in range(100, 600)}


def method_label(method: str) -> str:
    """Return a method of HTTP as it is, and anything else as ``_OTHER`` (CVE-2022-21698 was the lack of this)."""
    return method if method in _METHODS else OTHER


def status_label(status: int) -> str:
    """Return a status code as text, and what is none (RFC 9110, section 15) as ``_OTHER``."""
    return _STATUSES.get(status, OTHER)
