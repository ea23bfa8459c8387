"""Who may read the metrics: a bearer token (RFC 6750), basic credentials (RFC 7617), or whom a predicate admits.

*Rules.* Credentials are compared by their digests, in a time that tells nothing about what was right in them. Whoever
is refused learns nothing else: not the methods that are served, nor whether there are metrics.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Awaitable, Callable
from hashlib import sha256
from hmac import compare_digest
from typing import Any, TypeAlias, final

from asyncmetrics.errors import DefinitionError

__all__ = ("Access", "Auth")

Auth: TypeAlias = str | tuple[str, str] | Callable[[Any], bool | Awaitable[bool]]
"""A bearer token, a user's name and password, or a predicate: of an ASGI scope, or of a WSGI environment."""


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
        scheme, _, rest = (authorization or "").strip().partition(" ")
        try:
            given = self._given(rest.strip())
        except ValueError:  # not base64
            return False
        return compare_digest(_digest(given), self._digest) and scheme.lower() == self._scheme


def _digest(credentials: bytes) -> bytes:
    return sha256(credentials).digest()


def _token(text: str) -> bytes:
    return text.encode("latin-1", "replace")  # as the header's bytes came


def _user_and_password(text: str) -> bytes:
    return b64decode(text, validate=True)


def _token_bytes(token: str) -> bytes:
    if not token or token != token.strip() or not token.isprintable():
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
    return f"{user}:{password}".encode()
