"""`asyncmetrics top`: what it prints of an exporter, of one that is hostile, and of one that cannot be read."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from asyncmetrics import Gauge, Histogram, start_http_server
from asyncmetrics.cli import main
from tests.patience import PATIENCE_SECONDS, PROGRAM_SECONDS

ROOT = Path(__file__).parents[2]


OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@pytest.fixture
def top(registry, capsys, monkeypatch):
    """Serve the registry, run the command for it once, and return the status, the output and the errors."""
    monkeypatch.setenv("COLUMNS", "160")
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)

    def top(*arguments: str, path: str = "/metrics"):
        url = f"http://127.0.0.1:{server.server_port}{path}"
        status = main(["top", "--once", "--interval", "0.1", *arguments, url])
        return status, *capsys.readouterr()

    yield top
    server.shutdown()
    thread.join(PATIENCE_SECONDS)
    server.server_close()


@pytest.fixture
def answer():
    """Serve one response for all requests: ``url = answer(200, b"text")``."""
    servers = []

    def answer(status: int, body: bytes, *bodies: bytes) -> str:
        rest = [body, *bodies]

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                text = rest.pop(0) if len(rest) > 1 else rest[0]
                self.send_response(status)
                self.send_header("Content-Type", OPENMETRICS if text.endswith(b"# EOF\n") else "text/plain")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/metrics"

    yield answer
    for server, thread in servers:
        server.shutdown()
        thread.join(PATIENCE_SECONDS)
        server.server_close()


def _rows(output: str) -> list[tuple[str, ...]]:
    return [
        tuple(cell.strip() for cell in re.split("[│┃]", line)[1:-1]) for line in output.splitlines() if line[0] in "│┃"
    ]


def test_any_exporter_has_its_counters_gauges_histograms_and_summaries(answer, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    text = """# TYPE sold_bytes_total counter
sold_bytes_total{{kind="pen"}} {0}
# TYPE level gauge
level {0}
# TYPE idle gauge
idle 3
# TYPE wait_seconds histogram
wait_seconds_bucket{{le="1"}} {0}
wait_seconds_bucket{{le="+Inf"}} {0}
wait_seconds_sum {0}
wait_seconds_count {0}
# TYPE size summary
size_sum {0}
size_count {0}
"""
    url = answer(200, text.format(0).encode(), text.format(1000).encode())
    assert main(["top", "--once", "--interval", "0.1", url]) == 0
    rows = _rows(capsys.readouterr().out)
    assert ("sold_bytes_total", "kind=pen") in [row[:2] for row in rows]
    assert [row for row in rows if row[0] in {"level", "idle"}] == [
        ("level", "", "1000", "+1000"),
        ("idle", "", "3", ""),
    ]
    assert [row[0:2] + row[3:] for row in rows if row[0] in {"wait_seconds", "size"}] == [
        ("size", "", "1", "·", "·", "·"),
        ("wait_seconds", "", "1.00 s", "500 ms", "950 ms", "990 ms"),
    ]


def test_a_server_has_its_requests_by_route(registry, top):
    names = ["method", "route", "status"]
    requests = Histogram("http_server_request_duration_seconds", "Time.", names, buckets=[1], registry=registry)
    Gauge("http_server_active_requests", "Active.", ["method", "route"], registry=registry).labels("GET", "/a").set(2)
    requests.labels("GET", "/a", "200")
    status, output, errors = top()
    assert (status, errors) == (0, "")
    assert ("GET", "/a", "0.0", "·", "·", "·", "·", "2") in _rows(output)
    assert "http_server" not in output  # what the table of routes shows is in no other one


def test_a_table_has_no_more_rows_than_asked_for(registry, top):
    gauge = Gauge("level", "Level.", ["n"], registry=registry)
    for number in range(30):
        gauge.labels(number).set(1)
    _, output, _ = top("--rows", "3")
    assert len([row for row in _rows(output) if row[0] == "level"]) == 3


def test_an_exporter_without_metrics_says_so(answer, capsys):
    assert main(["top", "--once", "--interval", "0.1", answer(200, b"")]) == 0
    assert capsys.readouterr().out.endswith("The exposition has no metrics.\n")


def test_the_output_is_plain_text(registry, top):
    Gauge("level", "Level.", registry=registry).set(1)
    _, output, _ = top()
    assert "\x1b" not in output
    assert re.match(r"http://127\.0\.0\.1:\d+/metrics, the last [\d.e+]+ seconds\n", output)


def test_what_a_server_sends_controls_no_terminal_and_is_no_markup(registry, top):
    gauge = Gauge("level", "Level.", ["path"], registry=registry)
    for value in ("\x1b[2Jgone", "[bold red]x[/]", "a\nb\x9b1m\u202e", "x" * 100_000):
        gauge.labels(value).set(1)
    status, output, errors = top()
    assert (status, errors) == (0, "")
    assert [line for line in output.splitlines() if not line.isprintable()] == []
    shown = [row[1] for row in _rows(output)]
    assert r"path=\x1b[2Jgone" in shown
    assert "path=[bold red]x[/]" in shown
    assert r"path=a\nb\x9b1m\u202e" in shown
    assert output.count("x") < 500


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (500, b"\x1b[2Jbroken\r\nsecond", r"the answer is 500 Internal Server Error: \x1b[2Jbroken"),
        (200, b"<html>\x1b[2J", "the answer is no exposition: line 1: "),
    ],
)
def test_an_answer_that_is_no_exposition_is_one_line(answer, capsys, status, body, expected):
    url = answer(status, body)
    assert main(["top", "--once", url]) == 1
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith(f"asyncmetrics top: cannot read {url}: {expected}")
    assert errors.endswith("\n") and errors[:-1].isprintable()


@pytest.mark.parametrize(
    "arguments", [["--interval", "0"], ["--interval", "x"], ["--rows", "0"], ["--rows", "²"], ["--sort", "size"], []]
)
def test_a_wrong_argument_is_one_line(capsys, arguments):
    url = ["http://127.0.0.1:1/metrics"] if arguments else []
    with pytest.raises(SystemExit) as ended:
        main(["top", *arguments, *url])
    assert (ended.value.code, len(capsys.readouterr().err.splitlines())) == (2, 1)


def test_without_rich_it_says_what_to_install():
    program = "import sys; sys.modules['rich'] = None; from asyncmetrics.cli import main; sys.exit(main(['top', 'x']))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=PROGRAM_SECONDS
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "asyncmetrics top: the table needs rich, which is not installed: pip install 'rich>=13'"
    )
    assert len(done.stderr.splitlines()) == 1


def test_a_reader_that_has_enough_ends_it_in_silence(answer):
    """Without --once: it prints table after table until the reader closes the pipe."""
    url = answer(200, b"# TYPE level gauge\nlevel 1\n")
    command = [sys.executable, "-m", "asyncmetrics", "top", "--interval", "0.1", url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            for _ in range(12):
                assert process.stdout.readline()
            process.stdout.close()
            assert (process.wait(PROGRAM_SECONDS), process.stderr.read()) == (0, "")
        finally:
            process.kill()


def test_a_server_that_stops_answering_is_named_and_asked_again(answer):
    url = answer(200, b"level 1\n", b"level 2\n", b"not an exposition", b"level 7\n")
    command = [sys.executable, "-m", "asyncmetrics", "top", "--interval", "0.1", url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            output = ""
            while not re.search(r"level +│ +│ +7 ", output):
                line = process.stdout.readline()
                assert line, process.stderr.read()
                output += line
            assert f"cannot read {url}: the answer is no exposition" in output.replace("\n", " ")
        finally:
            process.kill()


def test_characters_that_the_output_cannot_encode_become_escapes(answer):
    url = answer(200, '# TYPE level gauge\nlevel{city="Zürich"} 1\n'.encode())
    command = [sys.executable, "-m", "asyncmetrics", "top", "--once", "--interval", "0.1", url]
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PROGRAM_SECONDS)
    assert (done.returncode, done.stderr) == (0, "")
    assert r"city=Z\xfcrich" in done.stdout


def test_the_help_has_examples(capsys):
    with pytest.raises(SystemExit):
        main(["top", "--help"])
    shown = capsys.readouterr().out
    for word in ("asyncmetrics top http://", "--once", "--sort", "--token", "Ctrl-C"):
        assert word in shown


_ODD = ("NaN", "+Inf", "-Inf", "1e300", "-1", "0")


@pytest.mark.parametrize("content_type", ["text", "openmetrics"])
def test_odd_numbers_and_series_break_no_table(answer, capsys, content_type):
    """Also those of the metrics that have lines of their own."""
    names = (
        "process_cpu_seconds_total",
        "event_loop_busy_seconds_total",
        "queue_length",
        "a_timestamp_seconds",
        "b_bytes",
    )
    lines = [f'{name}{{queue="{number}"}} {value}' for name in names for number, value in enumerate(_ODD)]
    buckets = [f'h_bucket{{le="{le}"}} {value}' for le, value in zip(("NaN", "-1", "x", "+Inf"), _ODD, strict=False)]
    end = "\n# EOF\n" if content_type == "openmetrics" else "\n"
    first = "\n".join(lines) + end
    last = "\n".join([*reversed(lines), *buckets]) + end
    url = answer(200, first.encode(), last.encode())
    assert main(["top", "--once", "--interval", "0.1", url]) == 0
    assert "queue 3" in capsys.readouterr().out


def test_ctrl_c_ends_it_without_a_traceback(answer):
    url = answer(200, b"level 1\n")
    command = [sys.executable, "-m", "asyncmetrics", "top", "--interval", "0.1", url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=PATIENCE_SECONDS)
            assert (process.returncode, errors) == (130, "")
        finally:
            process.kill()
