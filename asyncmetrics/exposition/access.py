"""Who may read the metrics: a bearer token (RFC 6750), basic credentials (RFC 7617), or whom a predicate admits.

*Rules.* Credentials are compared by their digests, in a time that tells nothing about what was right in them. Whoever
is refused learns nothing else: not the methods that are served, nor whether there are metrics. Only what HTTP calls
whitespace is stripped (RFC 9110, section 5.6.3): a header is bytes, and a token may end in ``à``, whose last byte is
A0. An option that no client can fulfil raises `DefinitionError`.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Awaitable, Callable
from hashlib import sha256
from hmac import compare_digest
from typing import Any, TypeAlias, final

from asyncmetrics.errors import DefinitionError

__all__ = ("Access", "Auth")

Auth: TypeAlias = str | tuple[str, str] | Callable[[Any], bool | Awaitable[bool]]
"""A bearer token, a user's name and password, or a predicate: of an ASGI scope, or of a WSGI environment."""

_BLANKS = " \t"
# RFC 9110, section 11.4, asks for blanks between scheme and credentials; tabs do no harm there.
_split: Callable[..., list[str]] = re.compile(f"[{_BLANKS}]+").split
# RFC 7617, section 2: neither part has control characters; a line feed is what reading a file leaves behind.
_find_control: Callable[[str], object] = re.compile("[\x00-\x1f\x7f-\x9f]").search


@final
class Access:
    """What ``auth`` means: ``predicate`` is to be asked, or else `admits` tells; ``challenge`` goes with a refusal.

    Raises `DefinitionError` for what is no way to tell who may read.
    """

    def __init__(self, auth: Auth | None) -> None:
        self.predicate: Callable[[Any], bool | Awaitable[bool]] | None = None
        self.challenge = b""
        if callable(auth):
            self.predicate = auth
        elif isinstance(auth, str):
            self._expect("Bearer", b'realm="metrics"', _token_bytes(auth), _token)
        elif auth is not None:
            self._expect("Basic", b'realm="metrics", charset="UTF-8"', _pair_bytes(auth), _user_and_password)

    def _expect(self, scheme: str, parameters: bytes, credentials: bytes, given: Callable[[str], bytes]) -> None:
        self.challenge = scheme.encode() + b" " + parameters
        self._scheme = scheme.lower()
        self._digest = _digest(credentials)
        self._given = given

    def admits(self, authorization: str | None) -> bool:
        """Tell whether the value of an Authorization header is what is expected, if anything is."""
        if not self.challenge:
            return True
        scheme, *rest = _split((authorization or "").strip(_BLANKS), maxsplit=1)
        try:
            given = self._given("".join(rest))
        except ValueError:  # not base64, or no text that bytes of a header can be
            return False
        return compare_digest(_digest(given), self._digest) and scheme.lower() == self._scheme


def _digest(credentials: bytes) -> bytes:
    return sha256(credentials).digest()


def _token(text: str) -> bytes:
    return text.encode("latin-1")  # as the header's bytes came


def _user_and_password(text: str) -> bytes:
    return b64decode(text, validate=True)


def _token_bytes(token: str) -> bytes:
    if not token or token != token.strip(_BLANKS) or not token.isprintable():
        raise DefinitionError("auth", "expected a bearer token of printable characters without blanks around it")
    return token.encode()


def _pair_bytes(pair: tuple[str, str]) -> bytes:
    if not isinstance(pair, tuple) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
        raise DefinitionError(
            "auth", f"expected a bearer token, a (user, password) or a predicate, got a {type(pair).__name__}"
        )
    user, password = pair
    if not user or ":" in user or not password:
        raise DefinitionError("auth", "expected a user's name without a colon (RFC 7617) and a password")
    if _find_control(user) or _find_control(password):
        raise DefinitionError("auth", "expected a user's name and a password without control characters (RFC 7617)")
    try:
        return f"{user}:{password}".encode()
    except UnicodeEncodeError:
        raise DefinitionError("auth", "expected a user's name and a password without lone surrogates") from None
