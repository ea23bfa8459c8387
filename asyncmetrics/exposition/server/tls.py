"""TLS for the server: its options, and certificates that are loaded again when their files change."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TypeAlias, final

from asyncmetrics.errors import DefinitionError
from asyncmetrics.exposition.server.listening import clearer

__all__ = ("TLS", "Certificates")

_RETRY_SECONDS = 1.0
# What tells one version of a file from another: its inode, size and time of change; None where there is no file.
_Version: TypeAlias = tuple[int, int, int] | None


@final
@dataclass(frozen=True, slots=True)
class TLS:
    """The arguments of `start_http_server` about TLS, under prometheus_client's names."""

    certfile: str | None
    keyfile: str | None
    client_cafile: str | None
    client_capath: str | None
    protocol: int
    client_auth_required: bool
    tls_min_version: ssl.TLSVersion | None
    tls_max_version: ssl.TLSVersion | None

    @property
    def is_wanted(self) -> bool:
        """Whether TLS is to be spoken. Raises `DefinitionError` if a part of it is given, but no certificate."""
        if self.certfile is not None:
            return True
        if self.keyfile or self.client_cafile or self.client_capath or self.client_auth_required:
            raise DefinitionError("TLS", "a key or a client's authority is given, but no certfile for the server")
        return False

    def context(self) -> ssl.SSLContext:
        """Return a context with the files as they are now. Raises `OSError` for one that cannot be loaded."""
        context = ssl.SSLContext(self.protocol)
        self._load_certificate(context)
        self._load_authorities(context)
        if self.tls_min_version is not None:
            context.minimum_version = self.tls_min_version
        if self.tls_max_version is not None:
            context.maximum_version = self.tls_max_version
        return context

    def versions(self) -> tuple[_Version, ...]:
        """Return what changes when one of the files does."""
        files = (self.certfile, self.keyfile, self.client_cafile, self.client_capath)
        return tuple(_version(path) for path in files if path is not None)

    def _load_certificate(self, context: ssl.SSLContext) -> None:
        certfile, keyfile = self.certfile or "", self.keyfile
        try:
            context.load_cert_chain(certfile, keyfile, _refuse_to_ask)
        except OSError as error:
            raise clearer(error, f"cannot load the certificate {certfile!r} with the key {keyfile!r}") from error

    def _load_authorities(self, context: ssl.SSLContext) -> None:
        if self.client_auth_required:
            context.verify_mode = ssl.CERT_REQUIRED
        if self.client_cafile is None and self.client_capath is None:
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
            return
        if not self.client_auth_required:
            context.verify_mode = ssl.CERT_OPTIONAL  # an authority that nothing is checked against would be a trap
        try:
            context.load_verify_locations(self.client_cafile, self.client_capath)
        except OSError as error:
            where = f"{self.client_cafile!r} or {self.client_capath!r}"
            raise clearer(error, f"cannot load the clients' authority {where}") from error


@final
class Certificates:
    """The TLS context of the moment: a new one once a file of ``tls`` has changed.

    Files that cannot be loaded leave the last good context in use, and ``failed`` is called; they are tried again with
    the next connection, once a second at most, because a certificate and its key are rarely written at the same time.
    """

    def __init__(self, tls: TLS, failed: Callable[[], None]) -> None:
        self._tls = tls
        self._failed = failed
        self._versions = tls.versions()  # before they are loaded: a change in between is seen the next time
        self._context = tls.context()
        self._retry_at = -inf

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection."""
        versions = self._tls.versions()
        if versions != self._versions and time.monotonic() >= self._retry_at:
            try:
                self._context = self._tls.context()
                self._versions = versions
            except OSError:
                self._retry_at = time.monotonic() + _RETRY_SECONDS
                self._failed()
        return self._context


def _refuse_to_ask() -> str:
    """Raise instead of asking for a password on the terminal, once for each connection."""
    raise OSError("the key is encrypted, which a server that starts by itself cannot use")


def _version(path: str) -> _Version:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
