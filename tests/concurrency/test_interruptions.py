"""What a signal handler raises is told from what the interrupted code raises."""

from __future__ import annotations

import contextlib
import errno
import functools
import gc
import os
import signal
import sys
import weakref
from functools import partial

import pytest

from asyncmetrics.interruptions import ignoring, is_interruption, pass_interruption


class HandlerError(FileNotFoundError):
    """An exception that can be referred to weakly."""


def raise_here():
    raise HandlerError(errno.ENOENT, "of the handler")


def handle(number, frame):
    raise_here()


def handle_after_a_look_at_the_stack(number, frame):
    while frame is not None:
        frame = frame.f_back
    raise_here()


def handle_once(number, frame):
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    raise_here()


def handle_more(text, number, frame):
    raise_here()


class Handlers:
    def handle(self, number, frame):
        del frame
        raise_here()

    def __call__(self, number, frame):
        del frame
        raise_here()


class Failing:
    def __call__(self, *_):
        return fail()


HANDLERS = {
    "a function": handle,
    "one that looks at the stack": handle_after_a_look_at_the_stack,
    "one that registers another one": handle_once,
    "a lambda without names": lambda *_: raise_here(),
    "a partial": partial(handle_more, "text"),
    "a method": Handlers().handle,
    "an object": Handlers(),
}


@pytest.fixture
def interrupt():
    before = signal.getsignal(signal.SIGUSR1)

    def interrupt(handler):
        signal.signal(signal.SIGUSR1, handler)
        signal.raise_signal(signal.SIGUSR1)

    yield interrupt
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("name", HANDLERS)
def test_what_a_handler_raises_is_an_interruption(interrupt, name):
    with pytest.raises(FileNotFoundError) as caught:
        interrupt(HANDLERS[name])
    assert is_interruption(caught.value)


@pytest.mark.parametrize("name", HANDLERS)
def test_what_a_handler_raises_is_not_ignored(interrupt, name):
    with pytest.raises(FileNotFoundError, match="of the handler"), ignoring(OSError):
        interrupt(HANDLERS[name])


def test_it_is_passed_on(interrupt):
    with pytest.raises(FileNotFoundError) as caught:
        interrupt(handle)
    with pytest.raises(FileNotFoundError) as passed:
        pass_interruption(caught.value)
    assert passed.value is caught.value


def fail(*_):
    return os.stat("no such file")  # noqa: PTH116  # not pathlib, which asks it by another frame


@pytest.mark.parametrize("call", [fail, partial(fail, 1), lambda *arguments: fail(*arguments)])
def test_what_the_code_itself_raises_is_ignored(call):
    """Also through functions that a program puts in the place of those of ``os``."""
    with ignoring(OSError):
        call(1, "text")


def test_another_class_is_not_ignored():
    with pytest.raises(LookupError), ignoring(OSError):
        raise LookupError


def decorate(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)

    return wrapper


def fail_with_a_look_at_the_caller():
    caller = sys._getframe(1)
    assert caller
    return fail()


CALLS = {
    "a function of the decorator that the handler has": (decorate(handle), decorate(fail)),
    "another object of the class of the handler": (Failing(), Failing()),
    "a function with its caller's frame": (handle, fail_with_a_look_at_the_caller),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_resembles_the_handler_is_none(name):
    handler, call = CALLS[name]
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with ignoring(OSError):
            call()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_an_exception_that_is_passed_on_is_freed_at_once(interrupt):
    gc.disable()
    try:
        try:
            interrupt(handle)
        except FileNotFoundError as error:
            kept = weakref.ref(error)
            with contextlib.suppress(FileNotFoundError):
                pass_interruption(error)
        assert kept() is None
    finally:
        gc.enable()
