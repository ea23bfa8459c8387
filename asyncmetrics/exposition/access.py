"""Access to the metrics: by a bearer token (RFC 6750), basic credentials (RFC 7617), or a predicate.

*Rules.*

1. Compare digests of credentials, in constant time: the time must not reveal which characters were right.
2. Refuse before anything else is read of a request: a refused client must not learn which methods are served, or
   whether there are metrics.
3. Strip only what HTTP calls whitespace (RFC 9110, section 5.6.3): a header is bytes, and a token may end in ``à``,
   whose last byte is A0.
4. Raise `DefinitionError` for an option that no client can fulfil.
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
"""A bearer token, a ``(user, password)``, or a predicate of an ASGI scope or a WSGI environment."""

_BLANKS = " \t"
# RFC 9110, section 11.4, asks for blanks between scheme and credentials; tabs do no harm there.
_split: Callable[..., list[str]] = re.compile(f"[{_BLANKS}]+").split
# RFC 7617, section 2: neither part has control characters; reading a file leaves a line feed at the end.
_find_control: Callable[[str], object] = re.compile("[\x00-\x1f\x7f-\x9f]").search


@final
class Access:
    """The meaning of ``auth``: call ``predicate`` if there is one, and `is_granted` otherwise.

    ``challenge`` is the WWW-Authenticate of a refusal, empty where no credentials would help.
    Raises `DefinitionError` if ``auth`` is none of the three.
    """

    def __init__(self, auth: Auth | None) -> None:
        self.predicate: Callable[[Any], bool | Awaitable[bool]] | None = None
        self.challenge = b""
        if callable(auth):
            self.predicate = auth
        elif isinstance(auth, str):
            self._expect("Bearer", b'realm="metrics"', _encode_token(auth), _decode_bearer)
        elif auth is not None:
            self._expect("Basic", b'realm="metrics", charset="UTF-8"', _encode_pair(auth), _decode_basic)

    @property
    def is_for_browsers(self) -> bool:
        """Whether a browser can send what is expected when it opens a page: it has no way to send a token there."""
        return not self.challenge.startswith(b"Bearer")

    def _expect(self, scheme: str, parameters: bytes, credentials: bytes, decode: Callable[[str], bytes]) -> None:
        self.challenge = scheme.encode() + b" " + parameters
        self._scheme = scheme.lower()
        self._digest = _digest(credentials)
        self._decode = decode

    def is_granted(self, authorization: str | None) -> bool:
        """Return whether the value of an Authorization header has the expected credentials, if any are expected."""
        if not self.challenge:
            return True
        scheme, *rest = _split((authorization or "").strip(_BLANKS), maxsplit=1)
        try:
            credentials = self._decode("".join(rest))
        except ValueError:  # not base64, or characters that no bytes of a header decode to
            return False
        return compare_digest(_digest(credentials), self._digest) and scheme.lower() == self._scheme


def _digest(credentials: bytes) -> bytes:
    return sha256(credentials).digest()


def _decode_bearer(text: str) -> bytes:
    return text.encode("latin-1")  # the bytes of the header


def _decode_basic(text: str) -> bytes:
    return b64decode(text, validate=True)


def _encode_token(token: str) -> bytes:
    if not token or token != token.strip(_BLANKS) or not token.isprintable():
        raise DefinitionError("auth", "expected a bearer token of printable characters without blanks around it")
    return token.encode()


def _encode_pair(pair: tuple[str, str]) -> bytes:
    if not isinstance(pair, tuple) or len(pair) != 2 or not all(isinstance(item, str) for item in pair):
        raise DefinitionError(
            "auth",
            f"expected a bearer token, a (user, password) or a predicate, got an object of type {type(pair).__name__}",
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
