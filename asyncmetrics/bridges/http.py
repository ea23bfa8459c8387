"""One HTTP request by the standard library, whose import costs only those who push."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http.client import HTTPException, HTTPMessage
from ssl import SSLContext
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.request import BaseHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from asyncmetrics.errors import PushError

__all__ = ("opening",)

_SHOWN = 500  # characters of an answer, which tells what is wrong with the metrics


class _Redirects(HTTPRedirectHandler):
    """Close an answer that redirects to what is no URL: the base class raises before it does."""

    def http_error_302(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage) -> Any:
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except ValueError:
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class _EveryRedirect(_Redirects):
    """Repeat the request as it was, whatever its method, at the place that it is sent to."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        del fp, code, msg, headers
        return Request(newurl, req.data, dict(req.header_items()), method=req.get_method())  # noqa: S310  # as before


def opening(
    url: str,
    method: str,
    timeout: float | None,
    headers: Iterable[tuple[str, str]],
    data: bytes,
    *,
    tls: SSLContext | None = None,
    redirects: bool = False,
) -> Callable[[], None]:
    """Return what sends the request, and raises `PushError` unless the answer is one of success."""
    own: list[BaseHandler] = [HTTPSHandler(context=tls)] if tls else []
    opener = build_opener(*own, _EveryRedirect() if redirects else _Redirects())
    request = Request(url, data, dict(headers), method=method)  # noqa: S310  # http and https are all that is made

    def send() -> None:
        try:
            with opener.open(request, timeout=timeout):
                pass
        except HTTPError as error:
            raise PushError(method, url, f"the answer was {error.code} {error.reason}: {_body(error)}") from error
        except URLError as error:
            raise PushError(method, url, str(error.reason)) from error
        except (OSError, HTTPException, ValueError) as error:  # no HTTP, or a redirect to what is no URL
            raise PushError(method, url, str(error) or repr(error)) from error

    return send


def _body(error: HTTPError) -> str:
    """Return the beginning of what a refusal says, as far as it arrives."""
    try:
        with error:
            return error.read(_SHOWN).decode("utf-8", "replace").strip()
    except (OSError, HTTPException) as broken:
        return repr(broken)
