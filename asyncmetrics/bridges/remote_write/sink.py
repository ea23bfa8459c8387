"""`RemoteWrite`: the sink that speaks the remote write protocol, version 2.0 or 1.0.

*Theory of operation* of the fallback. A receiver that takes only 1.0 answers a request of 2.0 in one of two ways:

1. with status 415, as the specification of 2.0 asks of it;
2. with success, though it has stored nothing: Prometheus 2.42 ignores the content type, and finds no field that it
   knows in the message. A receiver of 2.0 has to answer with headers that say how much it has written ("Required
   ``Written`` Response Headers"). Without them nothing was written.

The sink then converts this request to 1.0 and sends it again, and so each request of 2.0 that was encoded before.
It encodes all later ones as 1.0.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Generator, Iterable, Mapping
from functools import partial
from typing import Any, Literal, TypeAlias, final

from asyncmetrics.bridges.push.http import Credentials, HttpSink
from asyncmetrics.bridges.push.http_options import Tls
from asyncmetrics.bridges.push.identity import Identity
from asyncmetrics.bridges.push.sink import Part, Payload
from asyncmetrics.bridges.remote_write.conversion import convert_in_steps
from asyncmetrics.bridges.remote_write.encoding import Request, encode_requests
from asyncmetrics.bridges.remote_write.snappy import decompress, preload_compressor
from asyncmetrics.bridges.remote_write.staleness import Presence
from asyncmetrics.errors import PushError
from asyncmetrics.model.checks import check_choice, check_flag
from asyncmetrics.model.escaping import check_escaping
from asyncmetrics.model.family import Metric
from asyncmetrics.pacing import run_in_turns

__all__ = ("RemoteWrite", "Version")

Version: TypeAlias = Literal[1, 2]

_HEADERS = {
    1: {"Content-Type": "application/x-protobuf", "X-Prometheus-Remote-Write-Version": "0.1.0"},
    2: {
        "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        "X-Prometheus-Remote-Write-Version": "2.0.0",
    },
}
_COMMON_HEADERS = {"Content-Encoding": "snappy", "User-Agent": "asyncmetrics"}  # both are required by 2.0
_WRITTEN = "X-Prometheus-Remote-Write-%s-Written"
_COUNTED = ("Samples", "Histograms")
_UNSUPPORTED = 415
# Prometheus answers 500 if its native histograms are switched off (storage.ErrNativeHistogramsDisabled): they stay so.
_NO_HISTOGRAMS = b"native histograms are disabled"
_READ_BYTES = 1000  # of the answer

_log = logging.getLogger("asyncmetrics")


@final
class RemoteWrite(HttpSink):
    """Send metrics to ``url`` by the remote write protocol.

    - ``version``: 2, with a fallback to 1 for a receiver that takes only this, or 1.
    - ``escaping``: how names are written that older servers refuse, one of Prometheus' escaping schemes. By default
      names of 2.0 stay as they are, and those of 1.0 are escaped with underscores.
    - ``stale_markers``: whether a series that ends, such as one of a removed child, is marked as ended.
    - ``headers``, ``auth``, ``tls``, ``timeout``, ``labels``: as of every sink over HTTP.

    Raises `DefinitionError` for a wrong option.

    >>> sink = RemoteWrite("http://localhost:9090/api/v1/write", labels={"region": "eu"})
    >>> sink.version
    2
    """

    name = "remote_write"

    def __init__(
        self,
        url: str,
        *,
        version: Version = 2,
        escaping: str | None = None,
        stale_markers: bool = True,
        headers: Mapping[str, str] | None = None,
        auth: Credentials | None = None,
        tls: Tls | None = None,
        timeout: float = 10.0,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(url, headers=headers, auth=auth, tls=tls, timeout=timeout, labels=labels)
        check_choice("version", version, (1, 2))
        check_flag("stale_markers", stale_markers)
        if escaping is not None:
            check_escaping(escaping)
        preload_compressor()
        self._version: Version = version
        self._escaping = escaping
        self._presence = Presence() if stale_markers else None
        self._encoded_at = 0.0  # the Unix time of the last payload, or 0
        self._has_logged_loss = False

    def __repr__(self) -> str:
        url, _, _ = self.url.partition("?")  # what follows may be a token
        return f"RemoteWrite({url!r}, version={self._version})"

    @property
    def version(self) -> Version:
        """The version that is spoken: 1 after a fallback."""
        return self._version

    def encode_in_steps(
        self, families: Iterable[Metric], now: float, identity: Identity
    ) -> Generator[None, None, Payload]:
        """Do the same as `encode`, in steps of less than half a millisecond."""
        version = self._version
        since, self._encoded_at = self._encoded_at, now
        requests = yield from encode_requests(
            families,
            now,
            version=version,
            escaping=self._escaping,
            fixed={"job": identity.job, "instance": identity.instance, **self.labels},
            presence=self._presence,
            since=since,
            on_omitted=self.find_omission_handler(),
        )
        return Payload(now, [self._make_part(request, version) for request in requests])

    def _make_part(self, request: Request, version: Version) -> Part:
        on_sent = None
        if self._presence is not None and request.marked:
            on_sent = partial(self._presence.confirm, request.marked)
        return Part(request.data, request.samples, on_sent, version)

    async def send_part(self, part: Part) -> None:
        """Send one request; send it again as 1.0 if the receiver does not take 2.0.

        Raises `PushError` (an OSError) if that fails.
        """
        if part.version == 1:
            await self._send(part.data, 1)
        elif self._version == 1:
            await self._send_converted(part)
        else:
            try:
                response = await self._send(part.data, 2)
            except PushError as error:
                if error.status != _UNSUPPORTED:
                    raise
                await self._fall_back(part, str(error))
            else:
                written = _read_written(response)
                if written is None:
                    await self._fall_back(part, "the answer has no header that says how much was written")
                elif written < part.samples and not self._has_logged_loss:
                    self._has_logged_loss = True
                    problem = "%s wrote %d of %d samples of a request; later losses are not logged"
                    _log.warning(problem, self, written, part.samples)

    async def _fall_back(self, part: Part, reason: str) -> None:
        if self._version == 2:
            _log.warning("%s does not take remote write 2.0, so it is sent 1.0 from now on: %s", self, reason)
            self._version = 1
        await self._send_converted(part)

    async def _send_converted(self, part: Part) -> None:
        from anyio import to_thread

        data = await to_thread.run_sync(decompress, part.data)  # 2 MB take milliseconds
        await self._send(await run_in_turns(convert_in_steps(data, self._escaping)), 1)

    async def _send(self, data: bytes, version: Version) -> Any:
        return await self.request(data, {**_COMMON_HEADERS, **_HEADERS[version]})

    def make_refusal(self, response: Any) -> PushError:
        """Return the error for a response that is no success; it says how much of the request was written."""
        error = super().make_refusal(response)
        written = _read_written(response)
        lacks_histograms = _NO_HISTOGRAMS in response.content[:_READ_BYTES]
        if not (written or lacks_histograms):
            return error
        return PushError(
            error.method,
            error.url,
            error.problem + (f" ({written} samples of the request were written)" if written else ""),
            is_permanent=error.is_permanent or lacks_histograms,
            retry_after=error.retry_after,
            status=error.status,
        )


def _read_written(response: Any) -> int | None:
    """Return how many samples and native histograms the receiver has written, or None if it does not say so."""
    texts = [response.headers.get(_WRITTEN % what, "") for what in _COUNTED]
    counts = [int(text) for text in texts if re.fullmatch("[0-9]{1,18}", text)]
    return sum(counts) if counts else None
