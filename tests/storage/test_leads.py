"""`registry.lead`: one process of all that share a directory leads, and another one takes over at its end."""

from __future__ import annotations

import os
import shutil
import signal
import time

import pytest

from asyncmetrics import CollectorRegistry
from asyncmetrics.errors import DefinitionError
from asyncmetrics.registry.collectables import find_full_registry, find_lead
from asyncmetrics.storage import SharedStorage
from tests.forks import run_forked
from tests.patience import wait_until


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "shared")


@pytest.fixture
def make(path):
    """Make a registry of a process: its storage shares in the directory."""
    return lambda: CollectorRegistry(storage=SharedStorage(path))


def test_in_memory_the_process_leads_always():
    with CollectorRegistry().lead("push") as lead:
        assert lead.is_leader()
        assert lead.group == ""
        assert not lead.has_predecessor


def test_an_object_that_is_no_registry_leads_always(make):
    class Mine:
        def collect(self):
            return []

    assert find_lead(Mine(), "push").is_leader()
    registry = make()
    assert find_full_registry(registry.restricted_registry(["a"])) is registry
    assert find_lead(registry.restricted_registry(["a"]), "push").group == registry.lead("push").group != ""


@pytest.mark.parametrize("name", ["", "a/b", "../a", "a" * 65, 3, "ä"])
def test_a_wrong_name_is_refused(name):
    with pytest.raises(DefinitionError, match="name: expected 1 to 64 letters"):
        CollectorRegistry().lead(name)


def test_all_leads_of_a_process_lead_together_until_the_last_one_ends(make, path):
    one, two = make().lead("push"), make().lead("push")
    assert one.is_leader()
    assert two.is_leader()
    one.release()
    run_forked(lambda: check_leader(path, expected=False))
    two.release()
    run_forked(lambda: check_leader(path, expected=True))


def check_leader(path, *, expected, name="push"):
    assert CollectorRegistry(storage=SharedStorage(path)).lead(name).is_leader() == expected


def test_each_name_has_its_own_leader(make, path):
    lead = make().lead("push")
    assert lead.is_leader()
    run_forked(lambda: check_leader(path, expected=True, name="other"))


def test_registries_of_two_names_have_a_lead_each(path):
    storage = SharedStorage(path)
    lead = CollectorRegistry(storage=storage).lead("push")
    assert lead.is_leader()

    def check():
        assert CollectorRegistry(storage=SharedStorage(path).named("admin")).lead("push").is_leader()

    run_forked(check)


def test_a_forked_child_neither_holds_nor_releases_the_lead_of_its_parent(make, path):
    lead = make().lead("push")
    assert lead.is_leader()

    def use():
        assert not lead.is_leader()
        lead.release()

    run_forked(use)
    run_forked(lambda: check_leader(path, expected=False))
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(writer)
        os.read(reader, 1)  # it lives until the test ends
        os._exit(0)
    lead.release()
    run_forked(lambda: check_leader(path, expected=True))
    os.close(writer)
    os.close(reader)
    os.waitpid(child, 0)


def test_another_process_takes_over_from_a_killed_one(make):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        kept = make().lead("push")
        kept.is_leader()
        os.write(writer, b"!")
        time.sleep(600)
    os.read(reader, 1)
    lead = make().lead("push")
    assert not lead.is_leader()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert lead.is_leader()
    assert lead.has_predecessor


def test_a_process_that_leads_again_has_no_predecessor(make):
    lead = make().lead("push")
    assert lead.is_leader()
    assert not lead.has_predecessor
    lead.release()
    assert lead.is_leader()
    assert not lead.has_predecessor


def test_a_lead_survives_that_all_files_are_closed(make, path):
    def check():
        lead = make().lead("push")
        assert lead.is_leader()
        os.closerange(3, 256)
        assert lead.is_leader()
        pid = os.fork()
        if not pid:
            check_leader(path, expected=False)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0

    run_forked(check)


def test_a_lead_survives_that_the_directory_is_removed(make, path):
    registry = make()
    lead = registry.lead("push")
    assert lead.is_leader()
    shutil.rmtree(path)
    wait_until(lead.is_leader, seconds=5)


def test_a_lead_that_is_freed_is_released(make, path):
    assert make().lead("push").is_leader()
    run_forked(lambda: check_leader(path, expected=True))
