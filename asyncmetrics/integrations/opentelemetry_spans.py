"""The provider ``"trace"`` of exemplars: the span of OpenTelemetry that the observed code runs in.

OpenTelemetry's API is enough: a library that sets the current span from a request's header needs no SDK.
"""

from __future__ import annotations

from collections.abc import Mapping

from asyncmetrics.context.exemplars import register_provider
from asyncmetrics.errors import MissingExtraError

try:
    from opentelemetry.trace import get_current_span
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "opentelemetry":
        raise
    raise MissingExtraError('exemplars="trace"', "opentelemetry-api", "opentelemetry") from error

__all__ = ("read_span",)

_SAMPLED = 1  # W3C Trace Context, "trace-flags"


def read_span() -> Mapping[str, str] | None:
    """Return the ids of the current span and of its trace, or None if there is none or its trace is not sampled.

    A span that has ended counts as long as it is the current one: a server's span ends with the response.
    """
    context = get_current_span().get_span_context()
    if not (context.trace_flags & _SAMPLED and context.is_valid):
        return None
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


register_provider("trace", read_span)
