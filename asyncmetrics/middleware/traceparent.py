"""The provider ``"traceparent"`` of exemplars: the current span, or else the header ``traceparent`` of the request.

The header is that of W3C Trace Context. It is the client's, which may write what it likes: so a value must have the
exact form that the specification asks for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from asyncmetrics.context.bound import BOUND, REQUEST
from asyncmetrics.context.exemplars import find_provider, register_provider
from asyncmetrics.errors import MissingExtraError
from asyncmetrics.middleware.labels import RequestRoute

__all__ = ("parse_traceparent", "read_trace")

_SAMPLED = 1
# "Traceparent Header Field Values": ff is no version, and no id is all zeros. A later version than 00 may go on after
# the flags, behind a dash.
_TRACEPARENT = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL
)


def parse_traceparent(value: bytes) -> Mapping[str, str] | None:
    """Return the ids of the trace and of the parent span, or None if the value is wrong or the trace is not sampled."""
    found = _TRACEPARENT.fullmatch(value)
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if (version == b"00" and rest) or not int(flags, 16) & _SAMPLED:
        return None
    return {"trace_id": trace_id.decode(), "span_id": span_id.decode()}


def read_trace() -> Mapping[str, str] | None:
    """Return the ids of the current span, or else those that the current request's header has."""
    labels = None if _read_span is None else _read_span()
    if labels is not None:
        return labels
    bound = BOUND.get()
    request = bound.get(REQUEST) or bound.get("route")
    return _read_header(request) if type(request) is RequestRoute else None


def _read_header(request: RequestRoute) -> Mapping[str, str] | None:
    scope = request.scope
    headers = getattr(request, "headers", ()) if scope is None else scope.get("headers", ())
    values = [value for name, value in headers if name == b"traceparent"]
    return parse_traceparent(values[0]) if len(values) == 1 else None  # two of them contradict each other


try:
    _read_span = find_provider("trace")
except MissingExtraError:
    _read_span = None

register_provider("traceparent", read_trace)
