"""`OTLP`: the sink of OTLP over HTTP, with messages in protobuf."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Mapping
from typing import Any, ClassVar, Literal, final

from asyncmetrics.bridges.otlp.answers import read_partial_success, read_status_message
from asyncmetrics.bridges.otlp.custom import encode_custom_family
from asyncmetrics.bridges.otlp.environment import Environment, Histograms, Temporality
from asyncmetrics.bridges.otlp.export import Export
from asyncmetrics.bridges.otlp.live import encode_live_family
from asyncmetrics.bridges.otlp.requests import Requests, compress_parts
from asyncmetrics.bridges.otlp.resource import encode_resource, is_target, read_target
from asyncmetrics.bridges.push.deltas import Deltas
from asyncmetrics.bridges.push.http import Credentials, HttpSink
from asyncmetrics.bridges.push.http_options import Tls
from asyncmetrics.bridges.push.identity import Identity
from asyncmetrics.bridges.push.sink import Part, Payload
from asyncmetrics.errors import PushError, show_text
from asyncmetrics.formats.writing.claims import Claims
from asyncmetrics.formats.writing.omissions import Omissions
from asyncmetrics.model.checks import check_choice, check_mapping
from asyncmetrics.model.escaping import ALLOW_UTF_8
from asyncmetrics.model.family import LiveFamily, Metric
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.names import to_label_text

__all__ = ("OTLP",)

_log = logging.getLogger("asyncmetrics")


@final
class OTLP(HttpSink):
    """Send metrics by OTLP, the protocol of OpenTelemetry, over HTTP and in protobuf.

    - ``url``: where the requests go, such as ``"http://collector:4318/v1/metrics"``.
    - ``temporality``: ``"cumulative"`` sends what counters and histograms have counted since they began, and
      ``"delta"`` what they have counted since the last push that succeeded.
    - ``histograms``: which buckets of a native histogram are sent if it has classic ones too: ``"explicit"`` (the
      classic ones) or ``"exponential"`` (the native ones). A native histogram alone is always exponential.
    - ``compression``: ``"gzip"``, or ``"none"``.
    - ``resource``: attributes of the process, which is the resource. They win over those of the environment.
    - ``headers``, ``auth``, ``tls``, ``timeout``, ``labels``: those of `HttpSink`. The labels become attributes of each
      data point.

    Each argument that is not given is read from the environment (``OTEL_EXPORTER_OTLP_ENDPOINT`` and others,
    docs/sinks/otlp.md); without it, the URL is ``http://localhost:4318/v1/metrics``. A value of the environment that
    cannot be used is logged, and the default is used. Raises `DefinitionError` for a wrong argument, and for
    certificates of the environment that cannot be read.

    >>> OTLP("http://localhost:4318/v1/metrics", temporality="delta", labels={"zone": "a"})
    OTLP('http://localhost:4318/v1/metrics', temporality='delta')
    """

    name: ClassVar[str] = "otlp"

    def __init__(
        self,
        url: str | None = None,
        *,
        temporality: Temporality | None = None,
        histograms: Histograms | None = None,
        compression: Literal["gzip", "none"] | None = None,
        resource: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: Credentials | None = None,
        tls: Tls | None = None,
        timeout: float | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        environment = Environment.of_process()
        check_choice("temporality", temporality, ("cumulative", "delta", None))
        check_choice("histograms", histograms, ("explicit", "exponential", None))
        check_choice("compression", compression, ("gzip", "none", None))
        check_mapping("resource", resource or {}, "attribute names to text")
        check_mapping("headers", headers or {}, "names to text")
        super().__init__(
            environment.read_url() if url is None else url,
            headers={**environment.read_headers(), **(headers or {})},
            auth=auth,
            tls=environment.read_tls() if tls is None else tls,
            timeout=environment.read_timeout() if timeout is None else timeout,
            labels=labels,
        )
        environment.check_protocol()
        self.temporality: Temporality = temporality or environment.read_temporality()
        self.sends_changes = self.temporality == "delta"
        self._is_exponential = (histograms or environment.read_histograms()) == "exponential"
        self._is_compressed = (compression or environment.read_compression()) == "gzip"
        own = {to_label_text(name): to_label_text(text) for name, text in (resource or {}).items()}
        self._resource = {**environment.read_resource(), **own}
        self._deltas = Deltas() if self.temporality == "delta" else None
        self._has_logged_message = False

    def __repr__(self) -> str:
        url, _, _ = self.url.partition("?")  # what follows may be a token
        return f"OTLP({url!r}, temporality={self.temporality!r})"

    def encode_in_steps(
        self, families: Iterable[Metric], now: float, identity: Identity
    ) -> Generator[None, None, Payload]:
        """Return the payload of ``families`` in steps of less than half a millisecond."""
        families = list(families)
        sent = None
        if self._deltas is not None:
            yield from self._deltas.prepare()
            sent = self._deltas.begin(now)
        omissions = Omissions(self.name, self.find_omission_handler())
        resource = encode_resource(identity, read_target(families), self._resource)
        requests = Requests(resource, sent)
        export = Export(int(now * 1e9), self.labels, requests, omissions, sent, self._is_exponential)
        yield
        yield from _encode_families((one for one in families if not is_target(one)), export)
        parts = export.requests.finish()
        if sent is not None:
            yield from sent.finish_in_steps()
        yield
        if self._is_compressed:
            parts = yield from compress_parts(parts)
        return Payload(now, parts)

    async def send_part(self, part: Part) -> None:
        """Send one request.

        Raises `PushError` if no response comes, if the server refuses, and if it rejects some of the data points: the
        rest is stored then, and the error is permanent.
        """
        headers = {"Content-Type": "application/x-protobuf"}
        if self._is_compressed:
            headers["Content-Encoding"] = "gzip"
        response = await self.request(part.data, headers)
        rejected, message = read_partial_success(response.content)
        if rejected > 0:
            # The client must not send the request again ("Partial Success"), so the changes in it count as sent.
            if part.on_sent is not None:
                part.on_sent()
            reason = show_text(message) or "it does not say why"
            problem = f"the server has rejected {rejected} of {part.samples} data points: {reason}"
            raise PushError(self.method, self.url, problem, is_permanent=True)
        if message:
            self._log_message(message)

    def _log_message(self, message: str) -> None:
        """Log the first message of the server that comes with no rejected data point."""
        if not self._has_logged_message:
            self._has_logged_message = True
            problem = "the OTLP server took all data points, and warns: %s; later warnings are not logged"
            _log.warning(problem, show_text(message))

    def make_refusal(self, response: Any) -> PushError:
        """Return the error for a response, with the message of the ``google.rpc.Status`` in its body if it is one."""
        error = super().make_refusal(response)
        message = read_status_message(response.content)
        if not message:
            return error
        problem = f"the answer was {response.status_code} {response.reason_phrase}: {show_text(message)}"
        return PushError(self.method, self.url, problem, is_permanent=error.is_permanent, retry_after=error.retry_after)


def _encode_families(families: Iterable[Metric], export: Export) -> Generator[None, None, None]:
    claims = Claims(ALLOW_UTF_8, export.omissions)
    for family in claims.iterate_families(families):
        if not claims.claim(family, ["", *KINDS[family.type].suffixes]):
            continue
        if isinstance(family, LiveFamily) and not family.partial:
            yield from encode_live_family(family, export)
        else:
            yield from encode_custom_family(family, claims, export)
