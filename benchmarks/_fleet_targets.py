"""The workers of `benchmarks.fleet` as one server: ``python -m benchmarks._fleet_targets WORKERS``.

It makes a few successive expositions of the application, prints its port, and then answers for every worker:
``/targets`` lists the workers (http_sd), and ``/7/metrics`` is the exposition of the eighth one. Each scrape of a
worker gets the next exposition, until the last one is repeated. So neither rendering nor compression takes processor
time while Prometheus is measured. At the end of standard input, the server prints its counts as JSON and ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter

from benchmarks._fleet_app import Shop

__all__ = ("EXPOSITIONS", "expose_often")

EXPOSITIONS = 6
_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Encoding: {}\r\nContent-Length: {}\r\n\r\n"
_TEXT = "application/openmetrics-text; version=1.0.0; charset=utf-8"


async def expose_often() -> list[bytes]:
    """Return successive expositions of one worker, compressed as it sends them."""
    shop, found = Shop(), []
    for _ in range(EXPOSITIONS):
        await shop.visit()
        found.append(await shop.expose("gzip"))
    return found


class _Targets:
    def __init__(self, workers: int, bodies: list[bytes]) -> None:
        self.scrapes: Counter[str] = Counter()
        self.sent_bytes = 0
        self._workers = workers
        self._bodies = bodies

    def _list_targets(self, port: int) -> bytes:
        return json.dumps(
            [
                {
                    "targets": [f"127.0.0.1:{port}"],
                    "labels": {"__metrics_path__": f"/{number}/metrics", "instance": f"worker-{number}"},
                }
                for number in range(self._workers)
            ]
        ).encode()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                path = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode()
                if path == "/targets":
                    port = writer.get_extra_info("sockname")[1]
                    self._write(writer, self._list_targets(port), "application/json", "identity")
                else:
                    body = self._bodies[min(self.scrapes[path], len(self._bodies) - 1)]
                    self.scrapes[path] += 1
                    self.sent_bytes += len(body)
                    self._write(writer, body, _TEXT, "gzip")
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            writer.close()

    def _write(self, writer: asyncio.StreamWriter, body: bytes, kind: str, encoding: str) -> None:
        writer.write(_HEAD.format(kind, encoding, len(body)).encode() + body)


async def _serve(workers: int) -> None:
    targets = _Targets(workers, await expose_often())
    server = await asyncio.start_server(targets.answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print(json.dumps({"scrapes": targets.scrapes.total(), "bytes": targets.sent_bytes}), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
