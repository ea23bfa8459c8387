"""What differs for programs that use private names, as docs/migrating.md lists it: each row on both libraries."""

from __future__ import annotations

import pytest

from tests.compatibility.libraries import both, declare, part


@pytest.mark.difference("read-only-views")
@pytest.mark.parametrize("name", ["_collector_to_names", "_names_to_collectors"])
def test_a_change_of_the_names_of_a_registry(name):
    def clear(library):
        registry, _ = declare(library, "Gauge")
        getattr(registry, name).clear()
        return len(getattr(registry, name))

    theirs, ours = both(clear)
    assert theirs == 0
    assert isinstance(ours, AttributeError)


@pytest.mark.difference("locks")
def test_the_lock_of_a_registry():
    def compare(library):
        registry = library.CollectorRegistry()
        return registry._lock is registry._lock

    assert both(compare) == (True, False)


@pytest.mark.difference("representations")
def test_the_representation_of_a_child():
    theirs, ours = both(lambda library: repr(declare(library, "Counter", ["x"])[1].labels("1")))
    assert theirs == "prometheus_client.metrics.Counter(m)"
    assert ours == "m_total{x='1'}"


@pytest.mark.difference("value-classes")
def test_the_values_of_the_multiprocess_mode():
    def make(library):
        return part(library, "values").MultiProcessValue()._multiprocess

    assert both(make) == (True, False)


@pytest.mark.difference("value-classes")
def test_the_class_of_the_numbers_that_metrics_use(monkeypatch):
    def declare_with_own_class(library):
        values = part(library, "values")

        class Own(values.MutexValue):
            pass

        monkeypatch.setattr(values, "ValueClass", Own)
        return isinstance(declare(library, "Counter")[1]._value, Own)

    assert both(declare_with_own_class) == (True, False)
