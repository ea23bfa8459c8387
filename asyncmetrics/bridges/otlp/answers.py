"""What an OTLP server answers: ``ExportMetricsServiceResponse``, or ``google.rpc.Status`` with an error."""

from __future__ import annotations

from asyncmetrics.formats.protobuf import decode_fields

__all__ = ("read_partial_success", "read_status_message")


def read_partial_success(data: bytes) -> tuple[int, str]:
    """Return how many data points the server has rejected, and its message. Both are empty if it took all.

    An answer that is no such message means nothing: the status of the response has said that the request succeeded.
    """
    rejected, message = 0, ""
    try:
        for field, value, _ in decode_fields(data):
            if field == 1 and isinstance(value, bytes):
                for inner, content, _ in decode_fields(value):
                    if inner == 1 and isinstance(content, int):
                        rejected = content if content < 1 << 63 else 0  # an int64: else it is negative
                    elif inner == 2 and isinstance(content, bytes):
                        message = content.decode("utf-8", "replace")
    except ValueError:
        return 0, ""
    return rejected, message


def read_status_message(data: bytes) -> str:
    """Return the message of a ``google.rpc.Status``, or ``""`` if ``data`` is none."""
    message = ""
    try:
        for field, value, _ in decode_fields(data):
            if field == 2 and isinstance(value, bytes):
                message = value.decode("utf-8", "replace")
    except ValueError:
        return ""
    return message
