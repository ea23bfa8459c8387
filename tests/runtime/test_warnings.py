"""Warnings that are shown are counted by category, whatever shows them."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import warnings

import pytest

from asyncmetrics.runtime import RuntimeMonitor

NAME = "python_warnings_total"


def read(registry):
    samples = [sample for family in registry.collect() for sample in family.samples if sample.name == NAME]
    return {sample.labels["category"]: sample.value for sample in samples}


@pytest.fixture(scope="module", autouse=True)
def _no_garbage():
    """Collect what tests of other files have left: its finalisers may warn."""
    gc.collect()


@pytest.fixture(autouse=True)
def shown(monkeypatch):
    """Show all warnings, to this list: pytest records them, which replaces functions of `warnings`."""
    calls = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", lambda message, category, *rest: calls.append(category))
        yield calls


def measured(act, registry):
    async def main():
        async with RuntimeMonitor(registry=registry):
            act()

    asyncio.run(main())
    return read(registry)


def warn():
    warnings.warn("old", DeprecationWarning, stacklevel=1)


def test_a_warning_counts_by_its_category(registry, shown):
    assert measured(lambda: (warn(), warnings.warn("odd", stacklevel=1)), registry) == {
        "DeprecationWarning": 1,
        "UserWarning": 1,
    }
    assert shown == [DeprecationWarning, UserWarning]


def test_a_warning_that_a_filter_ignores_does_not_count(registry):
    def act():
        warnings.simplefilter("ignore")
        warn()

    assert measured(act, registry) == {}


def test_a_warning_that_is_raised_does_not_count(registry):
    def act():
        warnings.simplefilter("error")
        with pytest.raises(DeprecationWarning):
            warn()

    assert measured(act, registry) == {}


def test_a_warning_that_filters_show_once_counts_once(registry):
    def act():
        warnings.simplefilter("once")
        for _ in range(3):
            warn()

    assert measured(act, registry) == {"DeprecationWarning": 1}


def test_a_warning_that_the_program_records_counts(registry):
    def act():
        with warnings.catch_warnings(record=True) as records:
            warnings.simplefilter("always")
            warn()
        assert len(records) == 1

    assert measured(act, registry) == {"DeprecationWarning": 1}


def test_a_coroutine_that_is_never_awaited_counts(registry):
    async def forgotten():
        pass

    def act():
        forgotten()
        gc.collect()

    assert measured(act, registry) == {"RuntimeWarning": 1}


@pytest.mark.parametrize("is_captured_first", [True, False])
def test_a_warning_that_logging_captures_counts_once(is_captured_first, registry, caplog):
    def act():
        if not is_captured_first:
            logging.captureWarnings(True)
        warn()

    if is_captured_first:
        logging.captureWarnings(True)
    try:
        assert measured(act, registry) == {"DeprecationWarning": 1}
    finally:
        logging.captureWarnings(False)
    assert [record.name for record in caplog.records] == ["py.warnings"]


def test_nothing_is_left_after_the_end(registry):
    before = warnings._showwarnmsg, warnings.showwarning
    measured(warn, registry)
    assert (warnings._showwarnmsg, warnings.showwarning) == before


def test_a_python_without_the_private_function_counts_what_the_public_one_shows(registry, shown, monkeypatch):
    monkeypatch.delattr(warnings, "_showwarnmsg")
    before = warnings.showwarning

    def act():
        warnings.showwarning("old", FutureWarning, "a.py", 1)  # what `warnings.warn` calls there

    assert measured(act, registry) == {"FutureWarning": 1}
    assert (shown, warnings.showwarning) == ([FutureWarning], before)


def test_the_line_of_a_warning_is_that_of_the_program(registry, monkeypatch):
    lines = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, category, filename, line, *_: lines.append(line))

    def act():
        warnings.warn("odd", stacklevel=1)
        lines.append(sys._getframe().f_lineno - 1)

    measured(act, registry)
    assert lines[0] == lines[1]
