"""What registries and families do differently on purpose, as docs/migrating.md lists it: each row on both libraries."""

from __future__ import annotations

import pytest

from tests.compatibility.libraries import Yielding, both, declare, part


@pytest.mark.difference("registration-collects-nothing")
def test_a_registration_with_auto_describe():
    def register(library):
        collected = []

        class Counting(Yielding):
            def collect(self):
                collected.append(self)
                return iter(())

        library.CollectorRegistry(auto_describe=True).register(Counting())
        return len(collected)

    assert both(register) == (1, 0)


@pytest.mark.difference("registration-collects-nothing")
def test_two_collectors_without_describe_that_yield_one_name():
    def register(library):
        family = part(library, "core").GaugeMetricFamily("m", "M.", value=1)
        registry = library.CollectorRegistry(auto_describe=True)
        registry.register(Yielding(family))
        registry.register(Yielding(family))
        return library.generate_latest(registry).count(b"\nm 1.0\n")

    theirs, ours = both(register)
    assert isinstance(theirs, ValueError)
    assert ours == 1


@pytest.mark.difference("escaped-duplicates")
def test_names_that_are_equal_when_they_are_escaped():
    def declare_both(library):
        registry = library.CollectorRegistry()
        library.Gauge("a.b", "A.", registry=registry)
        library.Gauge("a_b", "A.", registry=registry)
        return library.generate_latest(registry).count(b"\na_b 0.0\n")

    theirs, ours = both(declare_both)
    assert theirs == 2
    assert isinstance(ours, ValueError)


@pytest.mark.difference("registered-twice")
def test_a_collector_without_names_that_is_registered_twice():
    def register(library):
        registry, collector = library.CollectorRegistry(), Yielding()
        registry.register(collector)
        return registry.register(collector)

    theirs, ours = both(register)
    assert theirs is None
    assert isinstance(ours, ValueError)


@pytest.mark.difference("restricted-families")
def test_a_registry_that_is_restricted_to_the_name_of_a_family():
    def restrict(library):
        registry, _ = declare(library, "Summary")
        families = registry.restricted_registry(["m"]).collect()
        return {sample.name for family in families for sample in family.samples} - {"m_created"}

    assert both(restrict) == (set(), {"m_count", "m_sum"})


@pytest.mark.difference("family-labels")
def test_fewer_values_than_labels_in_a_family():
    def add(library):
        family = part(library, "core").GaugeMetricFamily("m", "M.", labels=["x", "y"])
        family.add_metric(["1"], 1)
        return family.samples[0].labels

    theirs, ours = both(add)
    assert theirs == {"x": "1"}
    assert isinstance(ours, ValueError)


@pytest.mark.difference("family-buckets")
@pytest.mark.parametrize(("buckets", "kind"), [({}, KeyError), ([], IndexError)])
def test_a_family_of_a_histogram_without_buckets(buckets, kind):
    theirs, ours = both(lambda library: part(library, "core").HistogramMetricFamily("m", "M.", buckets, 1))
    assert isinstance(theirs, kind)
    assert isinstance(ours, ValueError)


@pytest.mark.difference("process-metrics")
def test_the_metrics_of_the_process():
    def list_names(library):
        registry = library.CollectorRegistry()
        library.ProcessCollector(registry=registry)
        return {family.name for family in registry.collect()}

    theirs, ours = both(list_names)
    assert theirs <= ours
    assert "process_threads" in ours - theirs


class Jython:
    """What the module `platform` says under Jython."""

    def python_version_tuple(self):
        return ("2", "7", "4")

    def python_version(self):
        return "2.7.4"

    def python_implementation(self):
        return "Jython"

    def system(self):
        return "Java"

    def java_ver(self):
        return ("17", "vendor", ("a", "b", "c"), ("d", "e", "f"))


@pytest.mark.difference("jython")
def test_the_facts_about_jython():
    def list_labels(library):
        registry = library.CollectorRegistry()
        library.PlatformCollector(registry=registry, platform=Jython())
        return set(next(iter(registry.collect())).samples[0].labels)

    theirs, ours = both(list_labels)
    assert theirs - ours == {"jvm_name", "jvm_release", "jvm_vendor", "jvm_version"}
    assert ours < theirs
