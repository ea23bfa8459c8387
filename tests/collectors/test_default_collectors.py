"""The numbers of the process, platform and gc collectors, compared with those of the system."""

from __future__ import annotations

import gc
import os
import platform
import sys
import time

import pytest

from asyncmetrics import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture
def value(registry):
    ProcessCollector(registry=registry)
    return registry.get_sample_value


@linux
def test_the_cpu_time_is_that_of_the_process(value):
    assert value("process_cpu_seconds_total") == pytest.approx(time.process_time(), abs=1)


@linux
def test_the_open_descriptors_are_counted(value, tmp_path):
    before = value("process_open_fds")
    with (tmp_path / "x").open("w"):
        assert value("process_open_fds") == before + 1


@linux
def test_the_limit_of_descriptors_is_the_systems(value):
    import resource

    assert value("process_max_fds") == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@linux
def test_memory_and_threads_are_plausible(value):
    assert 1e6 < value("process_resident_memory_bytes") < value("process_virtual_memory_bytes")
    assert value("process_threads") >= 1


@linux
def test_the_start_is_in_the_past_and_after_the_boot(value):
    assert 0 < value("process_start_time_seconds") <= time.time()


@linux
def test_another_process_and_namespace_can_be_asked_for(registry):
    ProcessCollector(namespace="parent", pid=os.getppid, registry=registry)
    assert registry.get_sample_value("parent_process_threads") >= 1


def _proc(folder, stat, limits="Max open files            1024                 4096                 files\n"):
    (folder / "stat").write_text("cpu 1 2\nbtime 1000\n")
    (folder / "self").mkdir()
    (folder / "self" / "stat").write_text(stat)
    (folder / "self" / "limits").write_text(limits)
    (folder / "self" / "fd").mkdir()
    return str(folder)


def _fields(command):
    numbers = ["0"] * 50
    numbers[10], numbers[11], numbers[16], numbers[18], numbers[19], numbers[20] = "150", "50", "7", "500", "1234", "10"
    return f"42 ({command}) S {' '.join(numbers)}"


@pytest.mark.parametrize("command", ["python", "odd ) name", "a (b) c"])
def test_the_fields_are_found_whatever_the_command_is_called(command, tmp_path, registry):
    ProcessCollector(proc=_proc(tmp_path, _fields(command)), registry=registry)
    ticks = os.sysconf("SC_CLK_TCK")
    value = registry.get_sample_value
    assert value("process_cpu_seconds_total") == 200 / ticks
    assert (value("process_threads"), value("process_virtual_memory_bytes")) == (7, 1234)
    assert value("process_start_time_seconds") == 1000 + 500 / ticks


def test_what_cannot_be_read_is_left_out(tmp_path, registry):
    ProcessCollector(proc=_proc(tmp_path, "gone", limits="odd\n"), registry=registry)
    assert [family.name for family in registry.collect()] == ["process_open_fds"]


def test_an_unlimited_number_of_descriptors_is_infinite(tmp_path, registry):
    limits = "Max open files            unlimited            unlimited            files\n"
    ProcessCollector(proc=_proc(tmp_path, "gone", limits), registry=registry)
    assert registry.get_sample_value("process_max_fds") == float("inf")


def test_without_proc_the_interpreter_is_asked(tmp_path, registry):
    ProcessCollector(proc=str(tmp_path / "none"), registry=registry)
    assert registry.get_sample_value("process_cpu_seconds_total") > 0
    assert registry.get_sample_value("process_threads") >= 1


def test_the_names_are_taken_even_where_they_have_no_value(tmp_path, registry):
    from asyncmetrics import Gauge

    ProcessCollector(proc=str(tmp_path / "none"), registry=registry)
    with pytest.raises(ValueError, match="process_open_fds"):
        Gauge("process_open_fds", "Mine.", registry=registry)


def test_the_platform_is_exposed(registry):
    PlatformCollector(registry=registry)
    major, minor, patch = platform.python_version_tuple()
    labels = {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "major": major,
        "minor": minor,
        "patchlevel": patch,
    }
    assert registry.get_sample_value("python_info", labels) == 1


def test_collections_are_counted_by_generation(registry):
    GCCollector(registry=registry)
    before = registry.get_sample_value("python_gc_collections_total", {"generation": "2"})
    gc.collect()
    assert registry.get_sample_value("python_gc_collections_total", {"generation": "2"}) >= before + 1


def test_an_interpreter_without_statistics_yields_nothing(registry, monkeypatch):
    monkeypatch.delattr(gc, "get_stats")
    GCCollector(registry=registry)
    assert list(registry.collect()) == []


@pytest.mark.parametrize("collector", [ProcessCollector, PlatformCollector, GCCollector])
def test_a_collector_of_no_registry_can_be_registered_later(collector):
    registry = CollectorRegistry()
    registry.register(collector(registry=None))
    assert list(registry.collect())
