"""Pushing programs that are ended, killed and forked: what the server has got by then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from tests.patience import PROGRAM_SECONDS, wait_until
from tests.servers.push_receiver import run_receiver

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("push")]

LOOPS = ["asyncio", "trio", "uvloop"]


@pytest.fixture
def receiver():
    with run_receiver() as receiver:
        yield receiver


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """The programs of one test have instance numbers of their own."""
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    return runtime


@contextmanager
def running(kind, url):
    """Start a program, and kill what is left of it at the end."""
    command = [sys.executable, "-W", "error", "-m", "tests.servers.push_program", kind, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            yield program
        finally:
            program.kill()


def read_pids(program):
    line = program.stdout.readline().split()
    assert line[:1] == ["ready"], program.stderr.read()
    return [int(word) for word in line[1:]]


def count_orders(receiver):
    return receiver.messages[-1]["values"].get("orders_total") if receiver.messages else None


@pytest.mark.parametrize("kind", [*LOOPS, "thread"])
def test_sigterm_makes_the_last_push_and_ends_the_process_as_before(kind, receiver, environment):
    with running(kind, receiver.url) as program:
        read_pids(program)
        program.send_signal(signal.SIGTERM)
        assert program.wait(PROGRAM_SECONDS) == -signal.SIGTERM
        assert program.stderr.read() == ""
    assert count_orders(receiver) == 1


def test_a_sigterm_that_comes_right_before_the_main_thread_sleeps_is_not_lost(receiver, environment):
    with running("lost_signal", receiver.url) as program:
        read_pids(program)
        assert program.wait(PROGRAM_SECONDS) == -signal.SIGTERM
    assert count_orders(receiver) == 1


@pytest.mark.parametrize("kind", ["asyncio", "thread"])
def test_sigterm_with_a_dead_server_ends_the_process_after_the_shutdown_timeout(kind, environment):
    with running(kind, "http://127.0.0.1:9/") as program:
        read_pids(program)
        program.send_signal(signal.SIGTERM)
        assert program.wait(PROGRAM_SECONDS) == -signal.SIGTERM
        assert "could not be sent within the shutdown_timeout" in program.stderr.read()


def test_a_second_sigterm_ends_the_process_at_once(receiver, environment):
    receiver.drips = True
    with running("thread", receiver.url) as program:
        read_pids(program)
        program.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        program.send_signal(signal.SIGTERM)
        assert program.wait(PROGRAM_SECONDS) == -signal.SIGTERM


def test_a_handler_of_the_program_is_left_alone_and_its_end_pushes(receiver, environment):
    with running("handler", receiver.url) as program:
        read_pids(program)
        program.send_signal(signal.SIGTERM)
        assert program.wait(PROGRAM_SECONDS) == 7
    assert count_orders(receiver) == 1


def test_the_end_of_a_script_makes_the_last_push(receiver, environment):
    with running("to_end", receiver.url) as program:
        assert program.wait(PROGRAM_SECONDS) == 0
        assert program.stderr.read() == ""
    assert [message["values"].get("orders_total") for message in receiver.messages] == [0, 5]


def test_after_a_fork_one_process_pushes_for_both_and_the_child_goes_on(receiver, environment):
    with running("fork", receiver.url) as program:
        parent, child = read_pids(program)
        try:
            wait_until(lambda: count_orders(receiver) == 21)
            leader = receiver.messages[-1]["pid"]
            other = {parent: child, child: parent}[leader]
            os.kill(leader, signal.SIGKILL)
            wait_until(lambda: receiver.messages[-1]["pid"] == other)
            assert count_orders(receiver) == 21
            assert len({message["instance"] for message in receiver.messages}) == 1
        finally:
            os.kill(child, signal.SIGKILL)


def test_another_worker_takes_over_from_a_killed_one_and_nothing_is_lost(receiver, environment, tmp_path, monkeypatch):
    monkeypatch.setenv("ASYNCMETRICS_DIR", str(tmp_path / "shared"))
    with (
        running("worker", receiver.url) as one,
        running("worker", receiver.url) as two,
        running("worker", receiver.url) as three,
    ):
        for program in (one, two, three):
            read_pids(program)
        wait_until(lambda: count_orders(receiver) == 33)
        pushers = {message["pid"] for message in receiver.messages}
        assert len(pushers) == 1
        (leader,) = pushers
        began = time.monotonic()
        os.kill(leader, signal.SIGKILL)
        wait_until(lambda: receiver.messages[-1]["pid"] != leader)
        taken_over = next(when for when, message in receiver.received if message["pid"] not in pushers)
        print(f"taken over after {taken_over - began:.2f} s")
        assert min(message["values"]["orders_total"] for message in receiver.messages if message["pid"] != leader) == 33
        assert len({message["instance"] for message in receiver.messages}) == 1
        assert len({message["pid"] for message in receiver.messages}) == 2


def test_two_programs_of_one_host_have_two_instances_and_keep_them_after_a_restart(receiver, environment):
    def read_instance(pid):
        found = wait_until(lambda: [one["instance"] for one in receiver.messages if one["pid"] == pid])
        return found[0].rpartition(":")[2]

    with running("asyncio", receiver.url) as one, running("asyncio", receiver.url) as two:
        numbers = [read_instance(*read_pids(program)) for program in (one, two)]
        assert sorted(numbers) == ["0", "1"]
        two.kill()
        two.wait()
        with running("asyncio", receiver.url) as again:
            assert read_instance(*read_pids(again)) == numbers[1]


def test_a_server_that_was_down_gets_the_pending_collections(receiver, environment):
    port = receiver.server_port
    receiver.answers.extend([(503, {})] * 5)
    with running("asyncio", f"http://localhost:{port}/push") as program:
        read_pids(program)
        wait_until(lambda: count_orders(receiver) == 1)
