"""A server that pushes go to, and a sink whose payloads are JSON, for programs of the tests."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from asyncmetrics.bridges import Part, Payload
from asyncmetrics.bridges.push.http import HttpSink

__all__ = ("JsonSink", "Receiver", "run_receiver")

_PAUSE_SECONDS = 0.02  # between two bytes of a slow answer


class JsonSink(HttpSink):
    """Sends the values of all counters, the identity and the process."""

    name = "json"

    def encode_in_steps(self, families, now, identity):
        values = {}
        for family in families:
            values |= {sample.name: sample.value for sample in family.samples if sample.name.startswith("orders")}
            yield
        message = {"values": values, "job": identity.job, "instance": identity.instance, "pid": os.getpid()}
        return Payload(now, [Part(json.dumps(message).encode())])

    async def send_part(self, part):
        await self.request(part.data, {"Content-Type": "application/json"})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.headers.append(dict(self.headers))
        server.peers.add(self.client_address)
        status, headers = server.answers.popleft() if server.answers else (200, {})
        if status == 200:
            server.received.append((time.monotonic(), json.loads(body) if body.startswith(b"{") else body))
        if server.drips:
            self._drip()
            return
        self.send_response(status)
        for name, value in {"Content-Length": str(len(server.body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(server.body)

    def _drip(self):
        """Send a byte now and then, for ever."""
        try:
            while not self.server.is_over.wait(_PAUSE_SECONDS):
                self.wfile.write(b"H")
        except OSError:
            pass
        self.close_connection = True

    def log_message(self, format, *arguments):
        """Log nothing."""


class Receiver(ThreadingHTTPServer):
    """A server that keeps what it receives; ``answers`` are the next statuses, each with its headers."""

    daemon_threads = True

    def __init__(self, port=0, tls=None):
        super().__init__(("127.0.0.1", port), _Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.scheme = "http" if tls is None else "https"
        self.received, self.headers, self.answers, self.peers = [], [], deque(), set()
        self.body = b"thanks"
        self.drips = False
        self.is_over = threading.Event()

    @property
    def url(self):
        return f"{self.scheme}://localhost:{self.server_port}/push"

    @property
    def messages(self):
        return [message for _, message in self.received]

    def handle_error(self, request, client_address):
        """Log nothing: the tests break connections on purpose."""


@contextmanager
def run_receiver(port=0, tls=None):
    """Run a receiver until the end of the block."""
    receiver = Receiver(port, tls)
    thread = threading.Thread(target=receiver.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.is_over.set()
        receiver.shutdown()
        thread.join()
        receiver.server_close()
