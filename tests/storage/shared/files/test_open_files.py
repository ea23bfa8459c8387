"""Open files whose descriptors another part of the process closes, and which another file then gets."""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
from contextlib import suppress

import pytest

from asyncmetrics.storage.shared.files.directory import Directory
from asyncmetrics.storage.shared.files.open_file import OpenFile, allocate
from asyncmetrics.storage.shared.files.slots import is_owned


@pytest.fixture(scope="module", autouse=True)
def no_other_files():
    """Let nothing else open or close files meanwhile: a worker of an earlier test does when it is freed."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def directory(tmp_path):
    return Directory(str(tmp_path))


def open_new(directory):
    return directory.open("ours", os.O_RDWR | os.O_CREAT)


def replace(number, path):
    """Close a descriptor and give its number to another file, as an application may do."""
    other = os.open(path, os.O_RDWR | os.O_CREAT)
    os.dup2(other, number)
    os.close(other)
    return number


USES = {
    "read": lambda file: file.read(10, 0),
    "write": lambda file: file.write(b"ours", 0),
    "status": lambda file: file.status(),
    "fileno": lambda file: file.fileno(),
    "allocate": lambda file: allocate(file, 0, 10),
    "is_owned": is_owned,
}


@pytest.mark.parametrize("use", USES.values(), ids=list(USES))
def test_a_descriptor_that_another_file_has_is_not_used(directory, tmp_path, use):
    file = open_new(directory)
    (tmp_path / "other").write_bytes(b"precious")
    other = replace(file.fileno(), tmp_path / "other")
    with pytest.raises(OSError, match="closed") as caught:
        use(file)
    assert caught.value.errno == errno.EBADF
    assert file.is_lost
    file.close()
    del file
    assert os.pread(other, 100, 0) == b"precious"
    os.close(other)


def test_another_opening_of_the_same_file_is_another_file(directory):
    file = open_new(directory)
    number = file.fileno()
    os.close(number)
    second = open_new(directory)
    assert second.fileno() == number
    assert not file.is_open()
    file.close()
    assert second.is_open()


@pytest.mark.parametrize("kind", ["directory", "pipe", "nothing"])
def test_a_descriptor_that_is_no_regular_file_any_more_is_not_used(directory, tmp_path, kind):
    file = open_new(directory)
    number = file.fileno()
    os.close(number)
    opened = {
        "directory": lambda: [os.open(tmp_path, os.O_RDONLY)],
        "pipe": os.pipe,
        "nothing": lambda: (),
    }[kind]()
    assert not file.is_open()
    file.close()
    for other in opened:
        os.close(other)


def test_nothing_is_opened_in_a_directory_that_is_not_ours(directory, tmp_path):
    (tmp_path / "foreign").mkdir()
    other = Directory(str(tmp_path / "foreign"))
    (descriptor,) = list_descriptors(tmp_path / "foreign")
    replacement = os.open(tmp_path, os.O_RDONLY)
    os.dup2(replacement, descriptor)
    os.close(replacement)
    open_new(other)  # the directory is opened again, with another descriptor
    other.close()
    os.fstat(descriptor)
    os.close(descriptor)
    assert [path.name for path in tmp_path.rglob("*")] == ["foreign", "ours"]
    assert (tmp_path / "foreign" / "ours").exists()


def test_bytes_are_written_whole_or_not_at_all(directory, monkeypatch):
    file = open_new(directory)
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda number, data, offset: write(number, data[:3], offset))
    file.write(b"0123456789", 5)
    assert file.read(100, 5) == b"0123456789"
    monkeypatch.setattr(os, "pwrite", lambda *_: 0)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        file.write(b"0", 0)


class Interrupted(Exception):  # noqa: N818  # it is no error
    pass


def list_descriptors(path):
    """Return the descriptors of a file, of the first 256."""
    found = []
    for number in range(256):
        with suppress(OSError):
            if os.path.samestat(os.fstat(number), path.stat()):
                found.append(number)
    return found


def test_a_signal_handler_that_raises_leaves_no_file_open_that_no_object_knows(tmp_path, monkeypatch):
    """The handler may raise between any two calls, also between opening a file and storing its descriptor."""

    def interrupt(*_):
        raise Interrupted

    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # in a callback of the garbage collector, for instance
    path = tmp_path / "ours"
    files = []
    handler = signal.signal(signal.SIGALRM, interrupt)
    try:
        for number in range(1000):
            with suppress(Interrupted):
                signal.setitimer(signal.ITIMER_REAL, 0.000_02 + number % 20 * 0.000_002)
                for _ in range(100):
                    files.append(OpenFile())
                    files[-1].open(str(path), os.O_RDWR | os.O_CREAT)
                    files[-1].close()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    assert list_descriptors(path) != []
    for file in files:
        file.close()
    assert list_descriptors(path) == []


@pytest.mark.parametrize("arguments", [("too late",), (errno.ETIMEDOUT, "too late")], ids=["plain", "with a number"])
def test_a_timeout_that_a_signal_handler_raises_is_no_failure_of_a_file(directory, monkeypatch, arguments):
    file = open_new(directory)

    def handle(*_):
        raise TimeoutError(*arguments)

    def late(*_, **__):
        handle(signal.SIGALRM, sys._getframe())  # as Python calls a handler

    for name, call in (("lseek", file.is_open), ("stat", lambda: directory.is_at("ours", file))):
        with monkeypatch.context() as patch, pytest.raises(TimeoutError, match="too late"):
            patch.setattr(os, name, late)
            call()
    assert file.is_open()


def test_a_file_whose_opening_was_interrupted_is_closed_before_it_is_opened_again(directory, monkeypatch, tmp_path):
    file, path = open_new(directory), tmp_path / "ours"
    status = os.fstat

    def late(number):
        monkeypatch.setattr(os, "fstat", status)
        raise TimeoutError("too late")

    monkeypatch.setattr(os, "fstat", late)
    with pytest.raises(TimeoutError, match="too late"):
        file.open(str(path), os.O_RDWR)
    assert not file.is_open()
    file.open(str(path), os.O_RDWR)
    assert len(list_descriptors(path)) == 1
