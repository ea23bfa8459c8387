"""Families from hypothesis as fixtures (tests/formats/strategies.py has their rules), and expositions as one string."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.formats.strategies import (
    ALL_TYPES,
    EXACT,
    FINITE,
    HOSTILE,
    MILLISECONDS,
    TEXT_TYPES,
    UTF8,
    UTF8_LABELS,
    make_families,
)
from tests.thoroughness import examples

settings.register_profile("formats", settings.get_profile("patient"), max_examples=examples(100))
settings.load_profile("formats")


@pytest.fixture(scope="session")
def text_families():
    """Lists of families that text 0.0.4 can hold."""
    return make_families(TEXT_TYPES, MILLISECONDS, openmetrics=False)


@pytest.fixture(scope="session")
def text_utf8_families():
    """The same, with names and label names of any script."""
    return make_families(TEXT_TYPES, MILLISECONDS, names=UTF8, label_names=UTF8_LABELS, openmetrics=False)


@pytest.fixture(scope="session")
def openmetrics_families():
    """Lists of families that OpenMetrics can hold."""
    return make_families(ALL_TYPES, EXACT | FINITE, openmetrics=True)


@pytest.fixture(scope="session")
def openmetrics_utf8_families():
    """The same, with names and label names of any script."""
    return make_families(ALL_TYPES, EXACT | FINITE, names=UTF8, label_names=UTF8_LABELS, openmetrics=True)


@pytest.fixture(scope="session")
def hostile_text():
    """Texts with all characters that have a meaning in an exposition."""
    return HOSTILE


@pytest.fixture(scope="session")
def written():
    """Write families with a format into one string: ``written(encode_openmetrics, families)``."""

    def written(form, families, **options) -> str:
        return b"".join(form(families, **options)).decode()

    return written
