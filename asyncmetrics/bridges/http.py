"""One HTTP request by the standard library's urllib; only a push imports this module, which takes 60 ms."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http.client import HTTPException, HTTPMessage
from ssl import SSLContext
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.request import BaseHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from asyncmetrics.errors import PushError

__all__ = ("make_sender",)

# Enough for the first of the problems that a Pushgateway finds in the metrics, little enough for a log line.
_SHOWN_CHARACTERS = 500


class _Redirects(HTTPRedirectHandler):
    """Close an answer that redirects to an invalid URL: the base class raises before it closes."""

    def http_error_302(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage) -> Any:
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except ValueError:
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class _EveryRedirect(_Redirects):
    """Repeat the whole request, whatever its method, at the URL of the redirect."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        del fp, code, msg, headers
        # The base class refuses a URL whose scheme is not http, https or ftp.
        return Request(newurl, req.data, dict(req.header_items()), method=req.get_method())  # noqa: S310


def make_sender(
    url: str,
    method: str,
    timeout: float | None,
    headers: Iterable[tuple[str, str]],
    data: bytes,
    *,
    tls: SSLContext | None = None,
    redirects: bool = False,
) -> Callable[[], None]:
    """Return a function that sends the request, and raises `PushError` unless the answer is a success."""
    own: list[BaseHandler] = [HTTPSHandler(context=tls)] if tls else []
    opener = build_opener(*own, _EveryRedirect() if redirects else _Redirects())
    request = Request(url, data, dict(headers), method=method)  # noqa: S310  # the callers pass http and https only

    def send() -> None:
        try:
            with opener.open(request, timeout=timeout):
                pass
        except HTTPError as error:
            raise PushError(method, url, f"the answer was {error.code} {error.reason}: {_read_body(error)}") from error
        except URLError as error:
            raise PushError(method, url, str(error.reason)) from error
        except (OSError, HTTPException, ValueError) as error:  # not HTTP, or a redirect to an invalid URL
            raise PushError(method, url, str(error) or repr(error)) from error

    return send


def _read_body(error: HTTPError) -> str:
    """Return the beginning of a refusal's body, or why it cannot be read."""
    try:
        with error:
            return error.read(_SHOWN_CHARACTERS).decode("utf-8", "replace").strip()
    except (OSError, HTTPException) as broken:
        return repr(broken)
