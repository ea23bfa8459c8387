"""The server itself: its sockets, who owns them, its limits, its start and its stop."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from asyncmetrics import CollectorRegistry
from asyncmetrics.bridges.statsd_server import StatsDServer
from asyncmetrics.errors import DefinitionError
from tests.loops import on_every_loop
from tests.patience import PATIENCE_SECONDS, eventually

ROOT = Path(__file__).parents[3]

OWNER = """
import sys, anyio
from asyncmetrics import CollectorRegistry
from asyncmetrics.bridges.statsd_server import StatsDServer

async def main():
    async with StatsDServer({options}, registry=CollectorRegistry()) as server:
        print(server.port if server.is_listening else "in use", flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


@pytest.fixture
def start_owner():
    """Start a process that has a server with these options; return it and what it prints once it listens."""
    started = []

    def start(options):
        command = [sys.executable, "-c", OWNER.format(options=options)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.wait(PATIENCE_SECONDS)
        process.stdout.close()


def send_to(address, datagram, family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.sendto(datagram, address)


@on_every_loop
async def test_lines_are_taken_while_the_server_runs(registry):
    async with StatsDServer(0, registry=registry) as server:
        for number in range(1, 4):
            send_to(("127.0.0.1", server.port), b"a:1|c\na:1|c")
            await eventually(lambda: registry.get_sample_value("a_total"), 2 * number)


@on_every_loop
async def test_a_server_starts_and_stops_again_and_again(registry):
    server = StatsDServer(0, registry=registry)
    for _ in range(2):
        await server.start()
        await server.start()
        assert server.is_listening
        assert registry.get_sample_value("asyncmetrics_statsd_listening") == 1
        send_to(("127.0.0.1", server.port), b"a:1|c")
        await server.stop()
        await server.stop()
        assert not server.is_listening
    assert registry.get_sample_value("a_total") == 2
    assert registry.get_sample_value("asyncmetrics_statsd_listening") == 0


@on_every_loop
async def test_the_exception_of_the_application_wins(registry):
    with pytest.raises(KeyError, match="own"):
        async with StatsDServer(0, registry=registry):
            raise KeyError("own")


@on_every_loop
async def test_a_cancelled_application_stops_the_server(registry):
    with anyio.CancelScope() as scope:
        async with StatsDServer(0, registry=registry) as server:
            port = server.port
            scope.cancel()
            await anyio.sleep_forever()
    async with StatsDServer(port, registry=registry) as server:
        assert server.is_listening


@on_every_loop
async def test_all_that_has_arrived_is_taken_before_the_stop(registry):
    server = StatsDServer(0, registry=registry)
    await server.start()
    for _ in range(300):
        send_to(("127.0.0.1", server.port), b"\n".join([b"a:1|c"] * 40))
    await server.stop()
    assert registry.get_sample_value("a_total") == 300 * 40


@on_every_loop
async def test_sets_are_counted_anew_in_each_interval(registry):
    async with StatsDServer(0, registry=registry, set_interval=0.01) as server:

        def send_and_read():
            send_to(("127.0.0.1", server.port), b"a:ann|s\na:joe|s")
            return registry.get_sample_value("a")

        await eventually(send_and_read, 2)
        await eventually(lambda: registry.get_sample_value("a"), 0)


@on_every_loop
async def test_a_full_queue_loses_nothing_that_the_kernel_keeps(registry):
    async with StatsDServer(0, registry=registry, max_queued_bytes=1) as server:
        for _ in range(20):
            send_to(("127.0.0.1", server.port), b"a:1|c")
        await eventually(lambda: registry.get_sample_value("a_total"), 20)


def test_ipv6_is_a_host_too(registry, run):
    async def main():
        async with StatsDServer(0, host="::1", registry=registry) as server:
            send_to(("::1", server.port), b"a:1|c", socket.AF_INET6)

    run(main)
    assert registry.get_sample_value("a_total") == 1


@on_every_loop
async def test_a_unix_socket_is_for_its_user_alone_and_removed_at_the_stop(registry, tmp_path):
    path = tmp_path / "s.sock"
    async with StatsDServer(path=path, registry=registry) as server:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert server.port == 0
        send_to(str(path), b"a:1|c", socket.AF_UNIX)
    assert not path.exists()
    assert registry.get_sample_value("a_total") == 1


def test_a_unix_socket_that_nobody_has_is_replaced(registry, run, tmp_path):
    path = str(tmp_path / "s.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(path)

    async def main():
        async with StatsDServer(path=path, registry=registry) as server:
            assert server.is_listening

    run(main)


def test_a_datagram_that_is_too_long_loses_only_its_last_line(registry, run, tmp_path):
    path = str(tmp_path / "s.sock")
    datagram = b"\n".join([b"a:1|c"] * 15_000)

    async def main():
        async with StatsDServer(path=path, registry=registry):
            send_to(path, datagram, socket.AF_UNIX)

    run(main)
    assert registry.get_sample_value("asyncmetrics_statsd_lines_total", {"outcome": "too_long"}) == 1
    assert registry.get_sample_value("a_total") == 65_536 // 6


def test_a_file_that_is_no_socket_stays(registry, run, tmp_path):
    path = tmp_path / "s.sock"
    path.write_text("precious", encoding="utf-8")

    async def main():
        async with StatsDServer(path=path, registry=registry) as server:
            assert not server.is_listening

    run(main)
    assert path.read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize("options", [{"host": "192.0.2.1"}, {"path": "/nowhere/s.sock"}])
def test_an_address_that_cannot_be_used_is_named(registry, run, options):
    async def main():
        with pytest.raises(OSError, match="192.0.2.1:0|/nowhere/s.sock"):
            await StatsDServer(0, registry=registry, **options).start()

    run(main)


def test_a_port_in_use_is_logged_and_another_server_takes_it_over(registry, run, caplog):
    async def main():
        first = StatsDServer(0, registry=CollectorRegistry())
        await first.start()
        async with StatsDServer(first.port, registry=registry) as second:
            assert not second.is_listening
            assert registry.get_sample_value("asyncmetrics_statsd_listening") == 0
            await first.stop()
            await eventually(lambda: second.is_listening, True)
            send_to(("127.0.0.1", second.port), b"a:1|c")
            await eventually(lambda: registry.get_sample_value("a_total"), 1)

    run(main)
    assert "another process has UDP 127.0.0.1" in caplog.text


def test_a_server_that_waits_for_its_port_stops_at_once(registry, run):
    async def main():
        async with StatsDServer(0, registry=CollectorRegistry()) as first:
            second = StatsDServer(first.port, registry=registry)
            await second.start()
            await second.stop()

    run(main)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["udp", "unix"])
def test_another_process_takes_over_from_one_that_is_killed(start_owner, tmp_path, kind):
    path = str(tmp_path / "s.sock")
    first, printed = start_owner("0" if kind == "udp" else f"path={path!r}")
    address, family = (("127.0.0.1", int(printed)), socket.AF_INET) if kind == "udp" else (path, socket.AF_UNIX)
    registry = CollectorRegistry()
    options = {"port": int(printed)} if kind == "udp" else {"path": path}

    async def main():
        async with StatsDServer(registry=registry, **options) as server:
            assert not server.is_listening
            first.kill()
            await anyio.to_thread.run_sync(first.wait)
            await eventually(lambda: server.is_listening, True)
            send_to(address, b"a:1|c", family)
            await eventually(lambda: registry.get_sample_value("a_total"), 1)

    anyio.run(main)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says what it drops")
def test_what_the_kernel_drops_is_counted(registry, run):
    """A loop that is blocked reads nothing meanwhile."""
    sent = 0

    def send(server, number):
        nonlocal sent
        for _ in range(number):
            send_to(("127.0.0.1", server.port), b"a:1|c")
            sent += 1

    def count_dropped():
        return registry.get_sample_value("asyncmetrics_statsd_dropped_datagrams_total")

    async def main():
        async with StatsDServer(0, registry=registry) as server:
            send(server, 40_000)  # the kernel keeps at most 16 MB, and counts some 700 bytes for each
            while not count_dropped():
                send(server, 1)  # which tells how many were dropped before it
                await anyio.sleep(0.01)

    run(main)
    assert count_dropped() + registry.get_sample_value("a_total") == sent


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"port": "8125"}, "port: expected a port from 0 to 65535, as an int"),
        ({"port": 70_000}, "port: expected a port"),
        ({"host": 5}, "host: expected a str"),
        ({"path": ""}, "path: expected a path"),
        ({"registry": None}, "registry: expected a CollectorRegistry"),
        ({"namespace": "a b"}, "namespace: expected"),
        ({"max_names": 0}, "max_names: expected 1 or more"),
        ({"max_children": "5"}, "max_children: expected 1 or more, as an int, got the string '5': write 5"),
        ({"set_interval": 0}, "set_interval: expected more than 0 seconds"),
        ({"shutdown_timeout": "5s"}, "shutdown_timeout: expected more than 0 seconds.*write 5"),
        ({"tags": "env"}, "tags: expected a list of names of tags"),
        ({"tags": ["a-b"]}, "bad label name 'a-b'"),
        ({"port": "8125"}, "write 8125"),
        ({"port": "0.0.0.0:8125"}, r"write port=8125, host='0\.0\.0\.0'"),
    ],
)
def test_a_wrong_option_is_refused(options, problem):
    with pytest.raises(DefinitionError, match=problem):
        StatsDServer(**{"registry": CollectorRegistry(), **options})


def test_the_repr_names_the_address(registry):
    assert repr(StatsDServer(9125, registry=registry)) == "StatsDServer('UDP 127.0.0.1:9125')"
