"""The requests to a Pushgateway: functions that push once and wait for the answer, and what the sink shares with them.

Modules that only a push needs (ssl, urllib, gzip, socket) are imported by the functions that need them.
"""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from asyncmetrics.formats.negotiation import CONTENT_TYPE_PLAIN_0_0_4
from asyncmetrics.formats.writing.text import encode_text
from asyncmetrics.model.checks import check_choice, check_mapping, check_seconds, check_text, make_refusal
from asyncmetrics.registry import REGISTRY, Collectable, check_registry
from asyncmetrics.registry.collectables import collect_or_raise, find_self_metrics

__all__ = (
    "Handler",
    "Headers",
    "basic_auth_handler",
    "call_handler",
    "default_handler",
    "delete_from_gateway",
    "instance_ip_grouping_key",
    "make_base_url",
    "make_group_url",
    "passthrough_redirect_handler",
    "push_to_gateway",
    "pushadd_to_gateway",
    "tls_auth_handler",
)

_PROTOCOL_TLS_CLIENT = 16  # ssl.PROTOCOL_TLS_CLIENT, without the import of ssl (20 ms)

Headers: TypeAlias = list[tuple[str, str]]
Send: TypeAlias = Callable[[], None]
Handler: TypeAlias = Callable[[str, str, float | None, Headers, bytes], Send]
"""A function of ``url``, ``method``, ``timeout``, ``headers`` and ``data``. It returns a function that sends them."""


def default_handler(url: str, method: str, timeout: float | None, headers: Headers, data: bytes) -> Send:
    """Return a function that sends a request over HTTP or HTTPS."""
    from asyncmetrics.bridges.http import make_sender

    return make_sender(url, method, timeout, headers, data)


def passthrough_redirect_handler(url: str, method: str, timeout: float | None, headers: Headers, data: bytes) -> Send:
    """Return a function that sends a request and repeats it where it is redirected to.

    Use it for gateways whose redirects you trust: the whole request is repeated, credentials included.
    """
    from asyncmetrics.bridges.http import make_sender

    return make_sender(url, method, timeout, headers, data, redirects=True)


def basic_auth_handler(
    url: str,
    method: str,
    timeout: float | None,
    headers: Headers,
    data: bytes,
    username: str | None = None,
    password: str | None = None,
) -> Send:
    """Return a function that sends a request with basic credentials (RFC 7617), for a `Handler` of your own to call."""
    if username is None or password is None:
        return default_handler(url, method, timeout, headers, data)
    token = b64encode(f"{username}:{password}".encode()).decode("ascii")
    return default_handler(url, method, timeout, [*headers, ("Authorization", f"Basic {token}")], data)


def tls_auth_handler(
    url: str,
    method: str,
    timeout: float | None,
    headers: Headers,
    data: bytes,
    certfile: str,
    keyfile: str,
    cafile: str | None = None,
    protocol: int = _PROTOCOL_TLS_CLIENT,
    insecure_skip_verify: bool = False,
) -> Send:
    """Return a function that sends a request over TLS with a client's certificate, for a `Handler` of your own to call.

    The gateway's certificate is checked against ``cafile``, or else against those that the system trusts. ``protocol``
    is ``ssl.PROTOCOL_TLS_CLIENT`` by default.
    """
    import ssl

    from asyncmetrics.bridges.http import make_sender

    context = ssl.SSLContext(protocol)
    if cafile is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cafile)
    if insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(certfile, keyfile)
    return make_sender(url, method, timeout, headers, data, tls=context)


def push_to_gateway(
    gateway: str,
    job: str,
    registry: Collectable,
    grouping_key: Mapping[str, object] | None = None,
    timeout: float | None = 30,
    handler: Handler = default_handler,
    compression: Literal["gzip"] | None = None,
) -> None:
    """Replace all metrics of this job and grouping key by those of ``registry``.

    ``gateway`` is ``host:port`` or a URL. ``grouping_key`` are labels that distinguish one pushing process from others.
    ``timeout`` is in seconds. Raises `PushError` (an OSError) if the gateway cannot be reached or refuses.
    """
    _push("PUT", gateway, job, registry, grouping_key, timeout, handler, compression)


def pushadd_to_gateway(
    gateway: str,
    job: str,
    registry: Collectable | None,
    grouping_key: Mapping[str, object] | None = None,
    timeout: float | None = 30,
    handler: Handler = default_handler,
    compression: Literal["gzip"] | None = None,
) -> None:
    """Replace the metrics of this job and grouping key that have the same names as those of ``registry``.

    The arguments are those of `push_to_gateway`; None means the default registry.
    """
    _push("POST", gateway, job, REGISTRY if registry is None else registry, grouping_key, timeout, handler, compression)


def delete_from_gateway(
    gateway: str,
    job: str,
    grouping_key: Mapping[str, object] | None = None,
    timeout: float | None = 30,
    handler: Handler = default_handler,
) -> None:
    """Delete all metrics of this job and grouping key; the arguments are those of `push_to_gateway`."""
    _send("DELETE", make_group_url(gateway, job, grouping_key), timeout, handler, b"")


def instance_ip_grouping_key() -> dict[str, str]:
    """Return a grouping key with the address by which this host reaches others, or the loopback's if it cannot."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("10.255.255.255", 1))  # a datagram's destination: nothing is sent
        except OSError:
            return {"instance": "127.0.0.1"}
        return {"instance": probe.getsockname()[0]}


def _push(
    method: str,
    gateway: str,
    job: str,
    registry: Collectable,
    grouping_key: Mapping[str, object] | None,
    timeout: float | None,
    handler: Handler,
    compression: str | None,
) -> None:
    check_registry(registry)
    check_choice("compression", compression, (None, "gzip"))
    url = make_group_url(gateway, job, grouping_key)
    on_omitted = find_self_metrics(registry).count_omitted_sample
    data = b"".join(encode_text(collect_or_raise(registry), on_omitted=on_omitted))
    if compression:
        import gzip

        _send(method, url, timeout, handler, gzip.compress(data), ("Content-Encoding", "gzip"))
    else:
        _send(method, url, timeout, handler, data)


def _send(
    method: str, url: str, timeout: float | None, handler: Handler, data: bytes, *headers: tuple[str, str]
) -> None:
    if timeout is not None:
        check_seconds("timeout", timeout)
    if not callable(handler):
        raise make_refusal("handler", "a function such as default_handler", handler)
    call_handler(handler, url, method, timeout, [("Content-Type", CONTENT_TYPE_PLAIN_0_0_4), *headers], data)


def call_handler(handler: Handler, url: str, method: str, timeout: float | None, headers: Headers, data: bytes) -> None:
    """Send a request by ``handler``."""
    # By name, as prometheus_client does: a user's handler may have the arguments in another order.
    handler(url=url, method=method, timeout=timeout, headers=headers, data=data)()  # type: ignore[call-arg]


def make_base_url(gateway: str) -> str:
    """Return the URL of a gateway, which may be given as ``host:port``."""
    return gateway if gateway.startswith(("http://", "https://")) else f"http://{gateway}"


def make_group_url(gateway: str, job: str, grouping_key: Mapping[str, object] | None) -> str:
    """Return the URL of a group. Raises `DefinitionError` for a wrong value of an argument."""
    check_text("gateway", gateway, "localhost:9091")
    check_text("job", job, "nightly_import")
    check_mapping("grouping_key", grouping_key or {}, "label names to values")
    for name in grouping_key or {}:
        check_text("a name in grouping_key", name, "instance")
    if not gateway:
        raise make_refusal("gateway", "a host and port, or a URL, such as 'localhost:9091'", gateway)
    labels = {"job": job, **dict(sorted((grouping_key or {}).items()))}
    path = "".join(f"/{_write_label(name, str(value))}" for name, value in labels.items())
    return f"{make_base_url(gateway).rstrip('/')}/metrics{path}"


def _write_label(name: str, value: str) -> str:
    """Return one label for a path, as base64 if a path cannot hold its value (https://github.com/prometheus/pushgateway#url)."""
    from urllib.parse import quote_plus

    if not value:
        return f"{name}@base64/="  # an empty segment would be a double slash, which servers join
    if "/" in value or " " in value or value in {".", ".."}:  # the gateway redirects the last two to another path
        return f"{name}@base64/{urlsafe_b64encode(value.encode()).decode('ascii')}"
    return f"{name}/{quote_plus(value)}"
