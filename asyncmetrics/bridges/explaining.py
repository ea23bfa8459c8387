"""What has gone wrong between this process and a server, in words for a log line."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from http.client import BadStatusLine, IncompleteRead, RemoteDisconnected
from socket import gaierror
from urllib.error import URLError

from asyncmetrics.errors import show

__all__ = ("explain_cause", "explain_failure")

_DEEPEST = 8  # errors that an error was raised from


def explain_failure(error: BaseException) -> str:
    """Return what has gone wrong, without the numbers and the lines of code that system errors have."""
    match error.reason if isinstance(error, URLError) else error:
        case RemoteDisconnected():
            return "the server has closed the connection without an answer"
        case BadStatusLine() as reason:
            return f"the answer is not HTTP: it begins with {show(reason.args[0])}"
        case IncompleteRead():
            return "the answer ended before its end"
        case ssl.SSLCertVerificationError() as reason:
            return f"the certificate of the server is not trusted: {reason.verify_message}"
        case ssl.SSLError(reason=str(name)):
            return f"TLS failed: {name.replace('_', ' ').lower()}; is it a server of https?"
        case ConnectionError(errno=int(number)):  # asyncio writes a line of code into its text
            return os.strerror(number)
        case OSError(strerror=str(text)):
            return text
        case reason:
            return str(reason) or repr(reason)


def explain_cause(error: BaseException) -> str:
    """Return what `explain_failure` says of the cause that says the most: a certificate, a name, the system's error."""
    causes = list(_list_causes(error))
    for kind in (ssl.SSLError, gaierror, ConnectionError, TimeoutError):
        for cause in causes:
            if isinstance(cause, kind) and (cause.strerror or isinstance(cause, ssl.SSLError)):
                return explain_failure(cause)
    return explain_failure(error)


def _list_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error`` and the errors that have caused it, the last of which is that of the system."""
    cause: BaseException | None = error
    for _ in range(_DEEPEST):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__ or _find_first_of_group(cause)


def _find_first_of_group(error: BaseException) -> BaseException | None:
    return next(iter(getattr(error, "exceptions", ())), None)
