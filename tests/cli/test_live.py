"""``asyncmetrics live URL``: one URL on standard output, errors of one line, an end by Ctrl-C without a traceback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import webbrowser
from contextlib import ExitStack

import httpx
import pytest

from asyncmetrics import Counter, start_http_server
from asyncmetrics.bridges.scraping import Target
from asyncmetrics.cli import COMMANDS, main
from asyncmetrics.cli.live import LiveServer, start_live_server
from asyncmetrics.cli.proxy.upstream import Upstream
from asyncmetrics.exposition.live.page import load_page
from tests.patience import PATIENCE_SECONDS, PROGRAM_SECONDS, wait_until
from tests.servers.processes import ROOT, find_free_port
from tests.servers.raw_server import RawServer


@pytest.fixture
def server(registry):
    Counter("jobs_total", "Jobs.", registry=registry).inc()
    with start_http_server(0, registry=registry, auth="s3cret") as server:
        yield server


@pytest.fixture
def command(server):
    """The command in a process of its own: ``process = command("--port", "0")``."""
    started = []

    def start(*options: str, url: str = f"127.0.0.1:{server.port}/metrics") -> subprocess.Popen[str]:
        arguments = ["-m", "asyncmetrics", "live", url, "--token", "s3cret", *options]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        started.append(subprocess.Popen([sys.executable, *arguments], text=True, env=environment, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=PATIENCE_SECONDS)


def test_it_serves_the_page_and_the_metrics_until_ctrl_c(command):
    port = find_free_port()
    process = command("--port", str(port))
    url = process.stdout.readline().removesuffix("\n")
    assert url.startswith(f"http://127.0.0.1:{port}/")
    assert httpx.get(url).content == load_page().body
    assert "jobs_total 1.0" in httpx.get(url.removesuffix("/live")).text
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=PROGRAM_SECONDS) == ("", "")
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:1/metrics?key=s3cret", "http://127.0.0.1:1/metrics"),
        ("http://[::1]:1", "http://[::1]:1/"),
        ("http://bücher.localhost:1/m ü\r\nx: y", "http://xn--bcher-kva.localhost:1/m%20%C3%BCx:%20y"),
    ],
)
def test_the_page_is_told_the_address_of_the_metrics_without_its_query(url, shown):
    """Where they cannot be read as well."""
    with start_live_server(Upstream(Target(url))) as served:
        response = httpx.get(served.url.removesuffix("/live"))
    assert (response.status_code, response.headers["asyncmetrics-source"]) == (502, shown)


def test_ctrl_c_ends_it_while_a_browser_is_connected(command):
    process = command()
    url = httpx.URL(process.stdout.readline().strip())
    with httpx.Client() as client:
        assert client.get(url).status_code == 200  # the connection stays open
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=PROGRAM_SECONDS) == ("", "")
    assert process.returncode == 130


@pytest.mark.parametrize("answered", [0, 1], ids=["first request", "request of the page"])
def test_ctrl_c_ends_it_while_the_upstream_hangs(command, answered):
    is_over = []

    def answer():
        if len(upstream.requests) > answered:
            wait_until(lambda: is_over)
        return [b"HTTP/1.1 200 OK\r\n\r\na 1\n"]

    with RawServer(answer) as upstream, ExitStack() as stack:
        stack.callback(is_over.append, True)
        process = command(url=upstream.url)
        if answered:
            url = httpx.URL(process.stdout.readline().strip())
            client = stack.enter_context(socket.create_connection((url.host, url.port), PATIENCE_SECONDS))
            path = url.path.removesuffix("/live")
            client.sendall(f"GET {path} HTTP/1.1\r\nhost: {url.netloc.decode()}\r\n\r\n".encode())
        wait_until(lambda: len(upstream.requests) > answered)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=PROGRAM_SECONDS) == ("", "")
        assert process.returncode == 130


def test_ctrl_c_finds_the_server_at_work_and_waits_for_its_end(server, monkeypatch):
    """An interrupted `Thread.join` would take the thread for ended, and the program would end before it."""
    found = []
    end = LiveServer.__exit__

    def note_and_end(served, *error):
        found.append(served.is_serving())
        end(served, *error)
        found.append(served.is_serving())

    def interrupt():
        assert opened.wait(PATIENCE_SECONDS)
        time.sleep(0.05)  # the main thread begins to wait
        os.kill(os.getpid(), signal.SIGINT)

    opened = threading.Event()
    monkeypatch.setattr(webbrowser, "open", lambda _: opened.set())
    monkeypatch.setattr(LiveServer, "__exit__", note_and_end)
    threading.Thread(target=interrupt, daemon=True).start()
    assert main(["live", f"127.0.0.1:{server.port}/metrics", "--token", "s3cret", "--open"]) == 130
    assert found == [True, False]


def fail(capsys, *arguments: str) -> tuple[int, str]:
    """Run the command, and return its status and the one line of standard error."""
    try:
        status = main(["live", *arguments])
    except SystemExit as error:
        status = error.code
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.count("\n") == 1
    assert written.err.endswith("\n")
    return status, written.err


@pytest.mark.parametrize(
    "url",
    ["", "http://", "file:///etc/passwd", "http://[::1", "http://x:99999", "http://a:b@x", "http://\x1b[2J/\u202e"],
)
def test_a_url_that_cannot_be_is_one_line(capsys, url):
    status, line = fail(capsys, url)
    assert status == 1
    assert "expected a URL" in line
    assert line.removesuffix("\n").isprintable()


def test_a_server_that_is_away_is_one_line(capsys):
    url = f"http://127.0.0.1:{find_free_port()}/metrics"
    assert fail(capsys, url) == (1, f"asyncmetrics live: cannot read {url}: Connection refused\n")


def test_wrong_credentials_are_one_line_without_them(capsys, server):
    status, line = fail(capsys, f"http://127.0.0.1:{server.port}/metrics", "--token", "wr0ng")
    assert (status, "the answer is 401 Unauthorized" in line, "wr0ng" in line) == (1, True, False)


def test_a_server_writes_nothing_to_the_terminal(capsys):
    with RawServer(b"HTTP/1.1 500 \x1b[2J\r\nx: \x1b[2J\r\ncontent-length: 4\r\n\r\n\x1b[2J") as server:
        status, line = fail(capsys, server.url)
    assert status == 1
    assert line.removesuffix("\n").isprintable()


def test_a_page_of_html_is_one_line_with_advice(capsys):
    with RawServer(b"HTTP/1.1 200 OK\r\n\r\n<html></html>") as server:
        status, line = fail(capsys, server.url)
    assert (status, "expected the URL of metrics" in line) == (1, True)


@pytest.mark.parametrize("port", ["65536", "-1", "x", "", "\u0663", "1.5"])
def test_a_port_that_cannot_be_is_a_wrong_argument(capsys, server, port):
    status, line = fail(capsys, f"http://127.0.0.1:{server.port}", f"--port={port}")
    assert (status, "--port: expected a port from 0" in line) == (2, True)


def test_a_port_that_is_taken_is_one_line(capsys, server):
    status, line = fail(capsys, f"http://127.0.0.1:{server.port}", "--token", "s3cret", "--port", str(server.port))
    assert (status, "Address already in use" in line) == (1, True)


def test_the_browser_is_opened_if_that_is_asked_for(server, capsys, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(LiveServer, "is_serving", lambda _: False)
    arguments = ["live", f"http://127.0.0.1:{server.port}/metrics", "--token", "s3cret"]
    main([*arguments, "--open"])
    assert capsys.readouterr().out == f"{opened[0]}\n"
    main(arguments)
    assert len(opened) == 1


def test_the_command_is_listed_and_explains_itself(capsys):
    assert "live" in COMMANDS
    with pytest.raises(SystemExit) as ended:
        main(["live", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert {"--port", "--open", "--token", "--header", "--cacert"} <= set(text.split())
