"""The socket and the TLS context that the own-port server listens with, and what to say when there is none."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import final

from asyncmetrics.errors import DefinitionError

__all__ = ("TLS", "listen")

_BACKLOG = 128


def listen(addr: str, port: int) -> socket.socket:
    """Return a socket that listens on ``addr`` (a name, IPv4 or IPv6; empty means all of them) and ``port``."""
    if not 0 <= port <= 65535:
        raise DefinitionError("port", f"expected 0 (any that is free) to 65535, got {port!r}")
    try:
        listening = _bound(addr, port)
    except OSError as error:
        raise _clearer(error, f"the metrics cannot be served on {addr!r}, port {port}") from error
    listening.setblocking(False)
    return listening


def _bound(addr: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(addr or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    both = address[0] == "::" and socket.has_dualstack_ipv6()  # as the system does where Python does not say otherwise
    return socket.create_server(address, family=family, backlog=_BACKLOG, dualstack_ipv6=both)


def _clearer(error: OSError, problem: str) -> OSError:
    return OSError(error.errno, f"{problem}: {error.strerror or error}")


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

    def context(self) -> ssl.SSLContext | None:
        """Return the context, or None when no certificate is given, hence no TLS is wanted."""
        if self.certfile is None:
            if self.keyfile or self.client_cafile or self.client_capath or self.client_auth_required:
                raise DefinitionError("TLS", "a key or a client's authority is given, but no certfile for the server")
            return None
        context = ssl.SSLContext(self.protocol)
        self._load_certificate(context, self.certfile)
        self._load_authorities(context)
        if self.tls_min_version is not None:
            context.minimum_version = self.tls_min_version
        if self.tls_max_version is not None:
            context.maximum_version = self.tls_max_version
        return context

    def _load_certificate(self, context: ssl.SSLContext, certfile: str) -> None:
        try:
            context.load_cert_chain(certfile, self.keyfile)
        except OSError as error:
            raise _clearer(error, f"cannot load the certificate {certfile!r} with the key {self.keyfile!r}") from error

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
            raise _clearer(error, f"cannot load the clients' authority {where}") from error
