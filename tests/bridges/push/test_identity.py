"""``job`` and ``instance``: where they come from."""

from __future__ import annotations

import os
import socket
import sys

import anyio
import pytest

from asyncmetrics.bridges import Pusher
from asyncmetrics.bridges.push import identity
from asyncmetrics.storage.shared.instances import claim_instance
from tests.bridges.push.sinks import KeepingSink
from tests.forks import run_forked

HOST = socket.gethostname()


@pytest.fixture(autouse=True)
def runtime(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    return tmp_path


def push(registry, title="", **options):
    sink = KeepingSink()
    pusher = Pusher(sink, registry, **options)
    pusher.name_application(title)
    anyio.run(pusher.push)
    return sink.sent[0][2]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["/usr/bin/uvicorn", "--workers", "4", "shop:app"], "shop"),
        (["/usr/bin/gunicorn", "shop.main:create()", "-w", "2"], "shop.main"),
        (["/lib/uvicorn/__main__.py", "shop:app"], "shop"),
        (["/usr/bin/hypercorn", "--bind", "localhost"], "hypercorn"),
        (["/srv/shop.py", "a:b"], "shop"),
        (["/srv/shop/__main__.py"], "shop"),
        (["-c"], "python"),
        ([""], "python"),
        ([], "python"),
    ],
)
def test_the_program_has_a_name(monkeypatch, arguments, name):
    monkeypatch.setattr(sys, "argv", arguments)
    assert identity.find_program_name() == name


def test_the_argument_wins_then_the_variable_then_the_title_then_the_program(registry, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["shop.py"])
    assert push(registry)["job"] == "shop"
    assert push(registry, "Shop API")["job"] == "Shop API"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "till")
    assert push(registry, "Shop API")["job"] == "till"
    assert push(registry, "Shop API", job="mine", instance="a") == {"job": "mine", "instance": "a"}


def test_two_pushers_of_a_process_have_one_instance(registry):
    assert push(registry) == push(registry)
    assert push(registry)["instance"] == f"{HOST}:0"


def test_an_unrelated_process_gets_the_next_number_and_a_later_one_the_lowest():
    first = claim_instance("shop", "")
    run_forked(lambda: check_number(1))
    run_forked(lambda: check_number(0, job="other"))
    first.release()
    run_forked(lambda: check_number(0))


def check_number(number, job="shop", group=""):
    assert claim_instance(job, group).number == number


def test_relatives_share_a_number_and_keep_it_when_its_owner_ends():
    claim = claim_instance("shop", "/run/one")
    run_forked(lambda: check_number(0, group="/run/one"))
    run_forked(lambda: check_number(1, group="/run/two"))
    claim.release()
    other = claim_instance("shop", "/run/two")
    assert other.number == 1
    run_forked(lambda: check_number(0, group="/run/one"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_a_directory_of_another_user_is_not_used(runtime, caplog):
    foreign = runtime / f"asyncmetrics-instances-{os.geteuid()}"
    foreign.mkdir()
    os.chown(foreign, 12345, 12345)
    assert claim_instance("shop", "").number == 0
    assert "no instance number can be claimed, so this program has number 0" in caplog.text


def test_a_symbolic_link_is_not_followed(runtime, caplog, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (runtime / f"asyncmetrics-instances-{os.geteuid()}").symlink_to(tmp_path / "elsewhere")
    assert claim_instance("shop", "").number == 0
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert "no instance number" in caplog.text
