"""`Pushgateway`: the sink that replaces a group of a Pushgateway by each push."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import ClassVar, Literal, final

from asyncmetrics.bridges.push.http import Credentials, HttpSink
from asyncmetrics.bridges.push.http_options import Tls
from asyncmetrics.bridges.push.identity import Identity
from asyncmetrics.bridges.push.sink import Part, Payload
from asyncmetrics.bridges.pushgateway.requests import Handler, call_handler, make_base_url, make_group_url
from asyncmetrics.errors import PushError
from asyncmetrics.formats.negotiation import CONTENT_TYPE_PLAIN_0_0_4
from asyncmetrics.formats.writing.text import encode_text
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.checks import check_choice, check_flag, check_text, make_refusal
from asyncmetrics.model.family import Metric
from asyncmetrics.model.names import check_label_names

__all__ = ("Pushgateway",)

_log = logging.getLogger("asyncmetrics")
_PIECE_BYTES = 64 * 1024


@final
class Pushgateway(HttpSink):
    """A Pushgateway, for a `Pusher`: the whole group is replaced by each push.

    - ``url``: its URL, or ``host:port``.
    - ``job``: the label ``job`` of the group; by default that of the process (`Identity`).
    - ``grouping_key``: the other labels of the group. By default that is ``instance``, so that two replicas do not
      replace each other's metrics; ``{}`` is a group of ``job`` alone.
    - ``labels``: more labels of the group. The gateway adds those of the group to each series.
    - ``method``: ``"PUT"`` replaces all metrics of the group, ``"POST"`` those with the same names.
    - ``compression``: ``"gzip"`` compresses the request.
    - ``handler``: a function that sends the request instead, as for `push_to_gateway`. It is called in a thread.
    - ``delete_on_close``: whether to delete the group when the pusher ends.
    - ``headers``, ``auth``, ``tls`` and ``timeout``: see `HttpSink`.

    Raises `DefinitionError` for a wrong value of an argument.
    """

    name: ClassVar[str] = "pushgateway"
    replaces: bool = True

    def __init__(
        self,
        url: str,
        job: str | None = None,
        *,
        grouping_key: Mapping[str, object] | None = None,
        method: Literal["PUT", "POST"] = "PUT",
        compression: Literal["gzip"] | None = None,
        handler: Handler | None = None,
        delete_on_close: bool = False,
        headers: Mapping[str, str] | None = None,
        auth: Credentials | None = None,
        tls: Tls | None = None,
        timeout: float = 10.0,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        check_choice("method", method, ("PUT", "POST"))
        check_choice("compression", compression, (None, "gzip"))
        check_flag("delete_on_close", delete_on_close)
        if handler is not None and not callable(handler):
            raise make_refusal("handler", "a function such as default_handler", handler)
        check_text("url", url, "http://gateway:9091")
        url = url if "://" in url or not url else make_base_url(url)
        super().__init__(url, headers=headers, auth=auth, tls=tls, timeout=timeout, labels=labels)
        make_group_url(url, "" if job is None else job, grouping_key)  # which checks the last two
        for argument, names in (("grouping_key", grouping_key or {}), ("labels", self.labels)):
            check_label_names(argument, names, frozenset({"job"}))
        self._gateway = url
        self._job = job
        self._grouping_key = None if grouping_key is None else dict(grouping_key)
        self._put_or_post = method
        self._compression = compression
        self._handler = handler
        self._deletes = delete_on_close
        self._is_named = False  # whether `url` has the labels of the group

    def encode_in_steps(
        self, families: Iterable[Metric], now: float, identity: Identity
    ) -> Generator[None, None, Payload]:
        """Do the same as `encode`, in steps of less than half a millisecond."""
        self._name_group(identity)
        compress, finish = _make_compressor(self._compression)
        pieces: list[bytes] = []
        open_piece: list[bytes] = []
        size = samples = 0
        for chunk in encode_text(families, on_omitted=self.find_omission_handler()):
            samples += chunk.count(b"\n") - chunk.count(b"\n# ") - chunk.startswith(b"# ")
            open_piece.append(compress(chunk))
            size += len(open_piece[-1])
            if size >= _PIECE_BYTES:
                pieces.append(b"".join(open_piece))
                open_piece, size = [], 0
            yield
        pieces.append(b"".join([*open_piece, finish()]))
        part = Part(pieces[0], samples) if len(pieces) == 1 else Part(b"", samples, pieces=pieces)
        return Payload(now, [part])

    async def send_part(self, part: Part) -> None:
        """Send the metrics. Raises `PushError` (an OSError) if the gateway cannot be reached or refuses."""
        headers = {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
        if self._compression:
            headers["Content-Encoding"] = self._compression
        await self._request(self._put_or_post, part.pieces or part.data, headers)

    async def delete(self) -> None:
        """Delete the group from the gateway. Raises `PushError` (an OSError)."""
        if not self._is_named:
            self._name_group(Identity.of_process())
        await self._request("DELETE", b"", {})

    async def close(self) -> None:
        """Delete the group, if ``delete_on_close`` is true, and close the connections. A failure is logged."""
        try:
            if self._deletes:
                await self.delete()
        except PushError as error:
            _log.warning("the metrics were not deleted from the Pushgateway: %s", error)
        finally:
            await super().close()

    def _name_group(self, identity: Identity) -> None:
        own: Mapping[str, object] = {"instance": identity.instance}
        group = {**(own if self._grouping_key is None else self._grouping_key), **self.labels}
        self.url = make_group_url(self._gateway, identity.job if self._job is None else self._job, group)
        self._is_named = True

    async def _request(self, method: str, data: bytes | Sequence[bytes], headers: dict[str, str]) -> None:
        if self._handler is None:
            await self.request(data, headers, method=method)
            return
        import anyio
        import anyio.to_thread

        def call() -> None:
            body = data if isinstance(data, bytes) else b"".join(data)
            call_handler(handler, self.url, method, self._timeout, list({**self._headers, **headers}.items()), body)

        handler = self._handler
        try:
            with anyio.fail_after(self._timeout):
                await anyio.to_thread.run_sync(call, abandon_on_cancel=True)
        except PushError:
            raise
        except Exception as error:
            pass_interruption(error)  # the handler is the program's, and may raise anything
            raise PushError(method, self.url, str(error) or repr(error)) from error

    def __repr__(self) -> str:
        return f"Pushgateway({self._gateway!r})"


def _make_compressor(compression: str | None) -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    """Return a function that compresses a chunk, and one that returns what is left at the end."""
    if compression is None:
        return bytes, bytes
    compressor = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)  # 16 stands for the format of gzip
    return compressor.compress, compressor.flush
