"""The options of sinks over HTTP: their checks, and what the request gets of them."""

from __future__ import annotations

import os
import re
import ssl
from base64 import b64encode
from collections.abc import Mapping
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.checks import check_mapping, check_text, make_refusal

__all__ = ("Credentials", "Tls", "check_headers", "check_url", "make_authorization", "make_tls")

Credentials: TypeAlias = str | tuple[str, str]
"""A bearer token (RFC 6750), or a ``(user, password)`` (RFC 7617)."""

Tls: TypeAlias = ssl.SSLContext | str | os.PathLike[str]
"""The context of a connection, or the path of a file of certificates (PEM) that are trusted in addition."""

_EXAMPLE = "https://metrics.example.com/api/v1/write"
_is_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch  # RFC 9110, section 5.6.2
_is_value = re.compile(r"[\t\x20-\x7e]*").fullmatch
_has_control = re.compile(r"[\x00-\x20\x7f]").search


def check_url(argument: str, url: object) -> None:
    """Raise `DefinitionError` unless ``url`` is one of http or https, with a host and without credentials."""
    check_text(argument, url, _EXAMPLE)
    text = str(url)
    parts = _split(text)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname or _has_control(text):
        has_scheme = "://" in text
        remedy = f"write 'http://{text}'" if text and not has_scheme and not _has_control(text) else ""
        raise make_refusal(argument, f"a URL such as {_EXAMPLE!r}", _hide_credentials(text), remedy)
    if "@" in parts.netloc:
        expected, remedy = "a URL without a user and a password", "write auth=('user', 'password') beside it"
        raise make_refusal(argument, expected, _hide_credentials(text), remedy)


def _hide_credentials(url: str) -> str:
    return re.sub("//[^/]*@", "//", url)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # a wrong port is a ValueError
    except ValueError as error:
        pass_interruption(error)
        return None
    return parts


def check_headers(argument: str, headers: object) -> None:
    """Raise `DefinitionError` unless ``headers`` are names and values that may be in a request."""
    check_mapping(argument, headers, "names to text")
    items: Mapping[object, object] = headers  # type: ignore[assignment]  # which was checked
    for name, value in items.items():
        if not isinstance(name, str) or not _is_token(name):
            raise make_refusal(argument, "names of headers such as 'X-Scope-OrgID'", name)
        if not isinstance(value, str) or not _is_value(value):  # the value may be a secret
            expected = f"a str of printable ASCII for {name!r}, without line ends"
            raise make_refusal(argument, expected, type(value))


def make_authorization(argument: str, auth: Credentials | None) -> dict[str, str]:
    """Return the header of credentials. Raises `DefinitionError` for others, without showing them."""
    match auth:
        case None:
            return {}
        case str() if auth and _is_value(auth) and not _has_control(auth):
            return {"Authorization": f"Bearer {auth}"}
        case (str(user), str(password)) if ":" not in user:
            return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode('ascii')}"}
        case _:
            expected = "a bearer token as a str of printable ASCII, or a (user, password), the user without a colon"
            raise make_refusal(argument, expected, type(auth), _advise_on_credentials(auth))


def _advise_on_credentials(auth: object) -> str:
    """Return what to write instead of wrong credentials, without showing them."""
    match auth:
        case "" | ("", ""):
            return "it is empty; write None for no credentials"
        case bytes():
            return "write auth=token.decode()"
        case str() if auth.strip() != auth:
            return "it has a space or a line end at an end; write auth=token.strip()"
        case str() if auth.lower().startswith("bearer "):
            return "write the token without 'Bearer'"
        case str() if ":" in auth:
            return "write auth=('user', 'password') for a user and a password"
        case (_, _) if not all(isinstance(text, str) for text in auth):
            return "write auth=(str(user), str(password))"
        case _:
            return ""


def make_tls(argument: str, tls: Tls | None) -> ssl.SSLContext | None:
    """Return the context that ``tls`` means: itself, or one that trusts a file of certificates too; None for None.

    Raises `DefinitionError` for anything else, and for a file that cannot be read.
    """
    if tls is None or isinstance(tls, ssl.SSLContext):
        return tls
    expected = "an ssl.SSLContext, or the path of a file of certificates (PEM)"
    if not isinstance(tls, (str, os.PathLike)):
        remedy = "write None for what the system trusts" if tls is True else ""
        raise make_refusal(argument, expected, tls, remedy)
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(tls)
    except OSError as error:  # an ssl.SSLError is one
        pass_interruption(error)
        problem = "it has no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror or str(error)
        raise make_refusal(argument, expected, tls, problem) from error
    return context
