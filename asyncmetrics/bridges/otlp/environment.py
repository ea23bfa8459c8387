"""The environment variables of OpenTelemetry's exporters, as far as they concern metrics over HTTP.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/. The variable of the signal, such as
``OTEL_EXPORTER_OTLP_METRICS_TIMEOUT``, wins over the general one, ``OTEL_EXPORTER_OTLP_TIMEOUT``.

*Rules.*

* An empty variable is none ("Parsing empty value").
* A value that cannot be used is logged once, and the default is used: a variable is often set for other programs too.
* A file of a certificate that cannot be read is an error: without it the connection would trust other servers.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar, final
from urllib.parse import unquote

from asyncmetrics.bridges.push.http_options import check_headers, check_url
from asyncmetrics.errors import DefinitionError, show

__all__ = ("DEFAULT_URL", "Environment", "Histograms", "Temporality")

_log = logging.getLogger("asyncmetrics")

DEFAULT_URL = "http://localhost:4318/v1/metrics"

Temporality: TypeAlias = Literal["cumulative", "delta"]

Histograms: TypeAlias = Literal["explicit", "exponential"]

_T = TypeVar("_T")
_PREFERENCES: dict[str, Temporality] = {"cumulative": "cumulative", "delta": "delta", "lowmemory": "delta"}
_AGGREGATIONS: dict[str, Histograms] = {
    "explicit_bucket_histogram": "explicit",
    "base2_exponential_bucket_histogram": "exponential",
}
_MAX_MILLISECONDS = 10**9


@final
@dataclass(frozen=True, slots=True)
class Environment:
    """What the environment variables in ``variables`` say; by default, those of the process."""

    variables: Mapping[str, str]

    @classmethod
    def of_process(cls) -> Environment:
        """Return the environment of this process."""
        return cls(os.environ)

    def read_url(self) -> str:
        """Return the URL: that of the metrics as it is, or the general one with ``/v1/metrics``."""
        for name, path in (("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", ""), ("OTEL_EXPORTER_OTLP_ENDPOINT", "/v1/metrics")):
            text = self._get(name)
            try:
                if text:
                    check_url(name, text)
                    return text.rstrip("/") + path if path else text
            except DefinitionError as error:
                _warn_of(error, f"the default {DEFAULT_URL} is used")
        return DEFAULT_URL

    def read_headers(self) -> dict[str, str]:
        """Return the headers, ``name=value`` with commas between them and percent-encoded values."""
        name, text = self._find("HEADERS")
        headers = _read_pairs(text)
        if headers is None:
            _warn(name, "name=value,name=value", "(not shown, as it may hold credentials)", "no header is added")
            return {}
        try:
            check_headers(name, headers)
        except DefinitionError as error:
            _warn_of(error, "no header is added")
            return {}
        return headers

    def read_timeout(self) -> float:
        """Return the seconds of the timeout, which is in milliseconds."""
        name, text = self._find("TIMEOUT")
        if not text:
            return 10.0
        if text.isascii() and text.isdecimal() and 0 < int(text[:20]) <= _MAX_MILLISECONDS:
            return int(text) / 1000
        _warn(name, "milliseconds, such as 10000", text, "the default of 10000 is used")
        return 10.0

    def read_compression(self) -> Literal["gzip"] | None:
        """Return the compression."""
        name, text = self._find("COMPRESSION")
        if text.lower() == "gzip":
            return "gzip"
        if text and text.lower() != "none":
            _warn(name, "gzip or none", text, "requests are not compressed")
        return None

    def read_temporality(self) -> Temporality:
        """Return the temporality; ``lowmemory`` is delta for counters and histograms, all that changes are sent of."""
        name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
        text = self._get(name)
        if text and text.lower() not in _PREFERENCES:
            _warn(name, "cumulative, delta or lowmemory", text, "cumulative numbers are sent")
        return _PREFERENCES.get(text.lower(), "cumulative")

    def read_histograms(self) -> Histograms:
        """Return which buckets of a native histogram with classic buckets are sent: see `OTLP`."""
        name = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
        text = self._get(name)
        if text and text.lower() not in _AGGREGATIONS:
            _warn(name, " or ".join(_AGGREGATIONS), text, "explicit buckets are sent")
        return _AGGREGATIONS.get(text.lower(), "explicit")

    def read_tls(self) -> ssl.SSLContext | None:
        """Return a context with the certificates, or None if there are none.

        Raises `DefinitionError` for a file that cannot be read.
        """
        trusted_name, trusted = self._find("CERTIFICATE")
        own_name, own = self._find("CLIENT_CERTIFICATE")
        key_name, key = self._find("CLIENT_KEY")
        if not (trusted or own or key):
            return None
        if key and not own:
            raise DefinitionError(key_name, "expected a certificate beside the key: set the variable of it, too")
        context = _load(trusted_name, lambda: ssl.create_default_context(cafile=trusted or None))
        if own:
            _load(own_name, lambda: context.load_cert_chain(own, key or None))
        return context

    def read_resource(self) -> dict[str, str]:
        """Return the attributes of the resource; the name of the service in ``OTEL_SERVICE_NAME`` wins."""
        name = "OTEL_RESOURCE_ATTRIBUTES"
        text = self._get(name)
        attributes = _read_pairs(text)
        if attributes is None:
            _warn(name, "name=value,name=value", text, "none of its attributes is used")
        service = self._get("OTEL_SERVICE_NAME")
        return {**(attributes or {}), **({"service.name": service} if service else {})}

    def check_protocol(self) -> None:
        """Log that the environment asks for another protocol than the one that is used."""
        name, text = self._find("PROTOCOL")
        if text and text != "http/protobuf":
            _warn(name, "http/protobuf", text, "http/protobuf is used, whose port is 4318")

    def _get(self, name: str) -> str:
        return self.variables.get(name, "").strip()

    def _find(self, option: str) -> tuple[str, str]:
        """Return the name and the value of the variable that is set; both are empty if none is."""
        for name in (f"OTEL_EXPORTER_OTLP_METRICS_{option}", f"OTEL_EXPORTER_OTLP_{option}"):
            text = self._get(name)
            if text:
                return name, text
        return "", ""


def _read_pairs(text: str) -> dict[str, str] | None:
    """Return ``name=value`` pairs with commas between them, or None if one of them is none."""
    pairs: dict[str, str] = {}
    for item in filter(None, map(str.strip, text.split(","))):
        name, equals, value = item.partition("=")
        name = name.strip()
        try:
            decoded = unquote(value.strip(), errors="strict")
        except UnicodeDecodeError:
            return None
        if not equals or not name or not name.isprintable():
            return None
        pairs[unquote(name)] = decoded
    return pairs


_logged: set[tuple[str, str]] = set()


def _warn(name: str, expected: str, value: str, consequence: str) -> None:
    """Log once that a variable has a value that cannot be used."""
    _warn_of(DefinitionError(name, f"expected {expected}, got {show(value)}"), consequence)


def _warn_of(refusal: DefinitionError, consequence: str) -> None:
    """Log once why a variable cannot be used, whose name is the subject of ``refusal``."""
    name, problem = refusal.subject, refusal.problem
    if (name, problem) not in _logged:
        _logged.add((name, problem))
        _log.warning("the environment variable %s is not used: %s; %s", name, problem, consequence)


def _load(name: str, load: Callable[[], _T]) -> _T:
    try:
        return load()
    except OSError as error:  # an ssl.SSLError is one, too
        raise DefinitionError(name, f"expected the path of a readable PEM file: {error}") from error
