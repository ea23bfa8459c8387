"""A real Prometheus server beside the shop, if there is one on the PATH. Its data is in a temporary folder."""

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs: [{{job_name: shop, static_configs: [{{targets: ["{target}"]}}]}}]
"""
QUERY = "sum by (route) (rate(http_server_request_duration_seconds_count[30s]))"
LISTENING = re.compile(r'msg="Listening on"[^\n]*? address=(127\.0\.0\.1:\d+)')
START_SECONDS = 10


@contextmanager
def run_prometheus(target: str) -> Iterator[str | None]:
    """Scrape ``target`` (host:port) and yield the URL of a graph, or ``None`` if there is no Prometheus."""
    binary = shutil.which("prometheus")
    if binary is None:
        yield None
        return
    with (
        tempfile.TemporaryDirectory(prefix="asyncmetrics-demo-") as folder,
        run_server(binary, Path(folder), target) as address,
    ):
        yield address and f"http://{address}/graph?{urlencode({'g0.expr': QUERY, 'g0.tab': 0, 'g0.range_input': '5m'})}"


@contextmanager
def run_server(binary: str, folder: Path, target: str) -> Iterator[str | None]:
    """Run the server and yield its address, or ``None`` if it does not start."""
    config, log = folder / "prometheus.yml", folder / "log"
    config.write_text(CONFIG.format(target=target))
    arguments = [
        "--web.listen-address=127.0.0.1:0",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
    ]
    with log.open("w") as output:
        server = subprocess.Popen([binary, *arguments], stdout=output, stderr=subprocess.STDOUT, cwd=folder)
    try:
        yield find_address(log, server)
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def find_address(log: Path, server: "subprocess.Popen[bytes]") -> str | None:
    """Wait until the log contains the address, whose port the system chooses."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        if match := LISTENING.search(log.read_text()):
            return match[1]
        time.sleep(0.05)
    return None
