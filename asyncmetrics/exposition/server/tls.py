"""TLS for the server: its options, and certificates that are loaded again when their files have changed."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, TypeAlias, final

from asyncmetrics.errors import DefinitionError
from asyncmetrics.exposition.server.os_errors import explain_error

__all__ = ("TLS", "Certificates", "Handshake")

# Files that cannot be loaded are tried again this often. Without a limit a flood of connections would load them each
# time, and a renewal is rarely half done for longer.
_RETRY_SECONDS = 1.0
# A version of a file: its inode, size and time of change; None where there is no file.
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
        """Whether the server speaks TLS. Raises `DefinitionError` for options of TLS without a certificate."""
        if self.certfile is not None:
            return True
        if self.keyfile or self.client_cafile or self.client_capath or self.client_auth_required:
            raise DefinitionError("TLS", "expected a certfile beside a key or a clients' authority, got no certfile")
        return False

    def make_context(self) -> ssl.SSLContext:
        """Return a context with the present files. Raises `OSError` for a file that cannot be loaded."""
        context = ssl.SSLContext(self.protocol)
        self._load_certificate(context)
        self._load_authorities(context)
        if self.tls_min_version is not None:
            context.minimum_version = self.tls_min_version
        if self.tls_max_version is not None:
            context.maximum_version = self.tls_max_version
        return context

    def read_versions(self) -> tuple[_Version, ...]:
        """Return the versions of the files, which differ from earlier ones once a file has changed."""
        files = (self.certfile, self.keyfile, self.client_cafile, self.client_capath)
        return tuple(_read_version(path) for path in files if path is not None)

    def _load_certificate(self, context: ssl.SSLContext) -> None:
        certfile, keyfile = self.certfile or "", self.keyfile
        try:
            context.load_cert_chain(certfile, keyfile, _refuse_password_prompt)
        except OSError as error:
            raise explain_error(error, f"cannot load the certificate {certfile!r} with the key {keyfile!r}") from error

    def _load_authorities(self, context: ssl.SSLContext) -> None:
        if self.client_auth_required:
            context.verify_mode = ssl.CERT_REQUIRED
        if self.client_cafile is None and self.client_capath is None:
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
            return
        if not self.client_auth_required:
            context.verify_mode = ssl.CERT_OPTIONAL  # an authority that is given must be checked against
        try:
            context.load_verify_locations(self.client_cafile, self.client_capath)
        except OSError as error:
            where = f"{self.client_cafile!r} or {self.client_capath!r}"
            raise explain_error(error, f"cannot load the clients' authority {where}") from error


@final
class Certificates:
    """The current TLS context, made again when a file of ``tls`` has changed.

    If the changed files cannot be loaded, the last good context stays in use and ``on_failure`` is called. They are
    tried again for the next connection, at most once a second, because a certificate and its key are rarely written at
    the same time.
    """

    def __init__(self, tls: TLS, on_failure: Callable[[], None]) -> None:
        self._tls = tls
        self._on_failure = on_failure
        # Read before the files are loaded, so that a change in between is seen at the next connection.
        self._versions = tls.read_versions()
        self._context = tls.make_context()
        self._retry_at = -inf

    def get_context(self) -> ssl.SSLContext:
        """Return the context for a new connection."""
        versions = self._tls.read_versions()
        if versions != self._versions and time.monotonic() >= self._retry_at:
            try:
                self._context = self._tls.make_context()
                self._versions = versions
            except OSError:
                self._retry_at = time.monotonic() + _RETRY_SECONDS
                self._on_failure()
        return self._context


@final
class Handshake:
    """The TLS context of one connection, which keeps the alert that ends a handshake.

    anyio raises an error and does not send the alert: the client would not learn that its certificate is refused.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._outgoing = ssl.MemoryBIO()

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **options: Any) -> ssl.SSLObject:
        """Return what `ssl.SSLContext.wrap_bio` returns."""
        self._outgoing = outgoing
        return self._context.wrap_bio(incoming, outgoing, *args, **options)

    def read_alert(self) -> bytes:
        """Return what is still to be sent to the client."""
        return self._outgoing.read()


def _refuse_password_prompt() -> str:
    """Raise, where the ssl module would ask for the key's password on the terminal."""
    raise OSError("the key is encrypted, and a server cannot ask for its password")


def _read_version(path: str) -> _Version:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
