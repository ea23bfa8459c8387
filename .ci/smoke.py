"""Use the installed wheel as a newcomer would: count, render, serve on a port of its own and scrape that."""

import subprocess
import sys
import urllib.request
from importlib.metadata import distribution, files
from pathlib import Path

import asyncmetrics

counter = asyncmetrics.Counter("smoke_total", "Runs of this script.", ["outcome"])
counter.labels("fine").inc()
expected = b'smoke_total{outcome="fine"} 1'
assert expected in asyncmetrics.generate_latest(), asyncmetrics.generate_latest()

server, thread = asyncmetrics.start_http_server(0)
with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10) as response:
    body, content_type = response.read(), response.headers["Content-Type"]
server.shutdown()
thread.join(10)
assert expected in body, body
assert content_type.startswith("text/plain; version="), content_type

names = {str(file) for file in files("asyncmetrics-prometheus") or ()}
assert "asyncmetrics/py.typed" in names, names
assert any(name.endswith("licenses/LICENSE") for name in names), names
assert not any(name.startswith(("tests", "examples", "benchmarks")) for name in names), names
assert Path(asyncmetrics.__file__).is_relative_to(Path(__file__).parent / "empty"), asyncmetrics.__file__
assert "pytest_asyncmetrics.py" in names, names
metadata = distribution("asyncmetrics-prometheus").metadata
assert metadata["Version"] == asyncmetrics.__version__, metadata["Version"]
urls = dict(line.split(", ", 1) for line in metadata.get_all("Project-URL", []))
assert {"Repository", "Documentation", "Changelog", "Issues"} <= urls.keys(), urls
command = [sys.executable, "-W", "error", "-m", "asyncmetrics", "--help"]
assert "commands:" in subprocess.run(command, check=True, capture_output=True, text=True).stdout
print(metadata["Name"], metadata["Version"], metadata["License-Expression"], "counts, renders and serves")
