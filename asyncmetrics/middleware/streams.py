"""Responses that are streams: their histogram, and what says that a response is one.

*Rule.* A response is a stream if its headers say ``text/event-stream``, or if it is not complete ``stream_after``
seconds after its start. A stream is in the histogram here instead of the one of requests, whose latency it would
distort.
"""

from __future__ import annotations

import math
from typing import Any, final

from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.middleware.metric_factory import MetricFactory
from asyncmetrics.middleware.options import MiddlewareOptions
from asyncmetrics.typing import Message

__all__ = ("StreamMetrics", "is_event_stream", "may_be_event_stream")

_SLASH, _LETTERS_E = ord("/"), b"eE"
_EVENTS = b"text/event-stream"  # HTML, 9.2: server-sent events


@final
class StreamMetrics:
    """The metrics of streams, and when a response becomes one."""

    def __init__(self, factory: MetricFactory, options: MiddlewareOptions) -> None:
        after = options["stream_after"]
        self.is_enabled = after is not None
        self.after = math.inf if after is None else after
        """How many seconds after its start a response that is not complete is a stream."""
        self.durations = factory.make_histogram(
            "http_server_stream_duration_seconds",
            "Time from the request to the end of a streaming response.",
            "method",
            "route",
            "outcome",
        )


def may_be_event_stream(start: Message) -> bool:
    """Return False for most responses that are no event streams, in a third of the time of `is_event_stream`."""
    try:
        for _, value in start["headers"]:
            if len(value) > 16 and value[4] == _SLASH and value[5] in _LETTERS_E:
                return True
    except Exception as error:  # noqa: BLE001  # headers in odd shapes, which `is_event_stream` reports
        pass_interruption(error)
        return "headers" in start
    return False


def is_event_stream(start: Message) -> bool:
    """Return whether the headers of a response say that it is a stream of server-sent events."""
    headers: Any = start.get("headers")
    for name, value in headers or ():
        if name.lower() == b"content-type":
            kind: bytes = value.partition(b";")[0].strip().lower()
            return kind == _EVENTS
    return False
