"""What is exposed and parsed differently on purpose, as docs/migrating.md lists it: each row on both libraries."""

from __future__ import annotations

import pytest

from tests.compatibility.libraries import Yielding, both, declare, part, register


class Broken:
    """A collector that fails."""

    def collect(self):
        raise LookupError("broken")


@pytest.mark.difference("broken-collectors")
def test_a_collector_that_fails():
    theirs, ours = both(lambda library: library.generate_latest(register(library, Broken())))
    assert isinstance(theirs, LookupError)
    assert b"\nother 7.0\n" in ours
    assert b'asyncmetrics_collector_errors_total{collector="Broken"} 1.0' in ours


@pytest.mark.difference("no-numbers")
@pytest.mark.parametrize("value", ["x", None, ["1"]])
def test_a_sample_that_is_no_number(value):
    def render(library):
        family = part(library, "core").GaugeMetricFamily("m", "M.", labels=["x"])
        family.add_metric(["bad"], value)
        family.add_metric(["good"], 1)
        return library.generate_latest(register(library, Yielding(family)))

    theirs, ours = both(render)
    assert isinstance(theirs, (TypeError, ValueError))
    assert b"\nother 7.0\n" in ours
    assert b'm{x="good"} 1.0' in ours
    assert b"bad" not in ours
    assert b'asyncmetrics_collector_errors_total{collector="Yielding"} 1.0' in ours


@pytest.mark.difference("no-numbers")
@pytest.mark.parametrize("buckets", [[("1.0", None), ("+Inf", 1)], [(None, 0), ("+Inf", 1)]], ids=["count", "bound"])
def test_a_histogram_that_no_format_can_hold(buckets):
    def render(library):
        family = part(library, "core").GaugeHistogramMetricFamily("m", "M.")
        family.add_metric([], buckets, 1)
        return library.generate_latest(register(library, Yielding(family)))

    theirs, ours = both(render)
    assert isinstance(theirs, (TypeError, AttributeError))
    assert b"\nother 7.0\n" in ours
    assert b"None" not in ours


@pytest.mark.difference("one-series-once")
def test_a_series_that_a_collector_yields_twice():
    def render(library):
        family = part(library, "core").GaugeMetricFamily("m", "M.")
        family.add_metric([], 1)
        family.add_metric([], 2)
        return library.generate_latest(register(library, Yielding(family))).count(b"\nm ")

    assert both(render) == (2, 1)


@pytest.mark.difference("one-series-once")
def test_a_family_that_two_collectors_yield():
    def render(library):
        kind = part(library, "core").GaugeMetricFamily
        collectors = [Yielding(kind("m", "M.", value)) for value in (1, 2)]
        return library.generate_latest(register(library, *collectors)).count(b"# TYPE m gauge")

    assert both(render) == (2, 1)


@pytest.mark.difference("one-series-once")
def test_a_series_that_a_collector_yields_at_two_times():
    def render(library):
        family = part(library, "core").GaugeMetricFamily("m", "M.")
        family.add_metric([], 1, timestamp=1)
        family.add_metric([], 2, timestamp=2)
        text = library.generate_latest(register(library, Yielding(family)))
        return [line for line in text.decode().splitlines() if line.startswith("m ")]

    assert both(render) == (["m 1.0 1000", "m 2.0 2000"], ["m 2.0 2000"])


@pytest.mark.difference("impossible-times")
@pytest.mark.parametrize("time", [-5, 10**16])
def test_a_sample_with_a_time_that_prometheus_refuses(time):
    def render(library):
        family = part(library, "core").GaugeMetricFamily("m", "M.")
        family.add_metric([], 1, timestamp=time)
        return b"\nm 1.0 " in library.generate_latest(register(library, Yielding(family)))

    assert both(render) == (True, False)


def write_openmetrics(library, family):
    return part(library, "openmetrics.exposition").generate_latest(register(library, Yielding(family)))


@pytest.mark.difference("openmetrics-forbids")
def test_a_negative_counter_in_openmetrics():
    def render(library):
        family = part(library, "core").CounterMetricFamily("m", "M.", -1)
        return b"m_total -1.0" in write_openmetrics(library, family)

    assert both(render) == (True, False)


@pytest.mark.difference("openmetrics-forbids")
@pytest.mark.parametrize("kind", ["Summary", "Histogram"])
def test_the_sum_of_negative_observations_in_openmetrics(kind):
    def render(library):
        options = {"buckets": [-1, 1]} if kind == "Histogram" else {}
        registry, metric = declare(library, kind, **options)
        metric.observe(-2)
        return b"m_sum -2.0" in part(library, "openmetrics.exposition").generate_latest(registry)

    theirs, ours = both(render)
    assert theirs is (kind == "Summary")  # both leave it out of a histogram
    assert ours is False


@pytest.mark.difference("openmetrics-forbids")
@pytest.mark.parametrize("buckets", [[("1.0", 3), ("+Inf", 1)], [("1.0", 3)]], ids=["less", "no last one"])
def test_a_histogram_that_is_not_cumulative_in_openmetrics(buckets):
    def render(library):
        family = part(library, "core").HistogramMetricFamily("m", "M.")
        family.add_metric([], buckets, 2)
        return b"m_bucket" in write_openmetrics(library, family)

    assert both(render) == (True, False)


@pytest.mark.difference("openmetrics-order")
def test_the_samples_of_two_children_in_openmetrics():
    def list_labels(library):
        family = part(library, "core").Metric("m", "M.", "summary")
        for name in ("m_count", "m_sum"):
            for value in ("1", "2"):
                family.add_sample(name, {"x": value}, 1)
        lines = write_openmetrics(library, family).decode().splitlines()
        return [line[line.index("{") : line.index("}") + 1] for line in lines if line.startswith("m_")]

    one, two = '{x="1"}', '{x="2"}'
    assert both(list_labels) == ([one, two, one, two], [one, one, two, two])


@pytest.mark.difference("openmetrics-order")
def test_a_sample_that_its_family_cannot_have_in_openmetrics():
    def write(library):
        family = part(library, "core").Metric("m", "M.", "gauge")
        family.add_sample("n", {}, 1)
        return b"# TYPE n unknown\n" in write_openmetrics(library, family)

    assert both(write) == (False, True)


@pytest.mark.difference("openmetrics-numbers")
def test_a_bound_and_a_time_in_openmetrics():
    def write(library):
        family = part(library, "core").Metric("m", "M.", "gaugehistogram")
        family.add_sample("m_bucket", {"le": "+1"}, 1, timestamp=5)
        family.add_sample("m_bucket", {"le": "+Inf"}, 1, timestamp=5)
        lines = write_openmetrics(library, family).decode().splitlines()
        return [line for line in lines if line.startswith("m_bucket")][0]

    assert both(write) == ('m_bucket{le="+1"} 1.0 5', 'm_bucket{le="1.0"} 1.0 5.0')


@pytest.mark.difference("escaping-schemes")
@pytest.mark.parametrize(
    ("name", "scheme", "theirs", "ours"),
    [
        ("jobs_done", "dots", "jobs__done__total", "jobs_done_total"),
        ("a.b", "dots", "a_dot_b__total", "a_dot_b_total"),
        ("a.b", "values", "U__a_2e_b__total", "U__a_2e_b_total"),
    ],
)
def test_a_name_under_a_scheme(name, scheme, theirs, ours):
    def write(library):
        registry = library.CollectorRegistry()
        library.Counter(name, "M.", registry=registry)
        return library.generate_latest(registry, scheme).decode().splitlines()[2]

    assert both(write) == (f"{theirs} 0.0", f"{ours} 0.0")


@pytest.mark.difference("escaping-schemes")
def test_a_name_that_needs_no_escaping_in_openmetrics():
    def write(library):
        registry = library.CollectorRegistry()
        library.Counter("jobs_done", "M.", registry=registry)
        return part(library, "openmetrics.exposition").generate_latest(registry, "values").decode()

    theirs, ours = both(write)
    assert "\nU__jobs__done__total 0.0\n" in theirs
    assert "\njobs_done_total 0.0\n" in ours


@pytest.mark.difference("openmetrics-exemplars")
def test_an_exemplar_of_a_gauge_in_openmetrics():
    def render(library):
        core = part(library, "core")
        family = core.Metric("m", "M.", "gauge")
        family.add_sample("m", {}, 1, exemplar=core.Exemplar({"trace_id": "1"}, 1))
        return write_openmetrics(library, family)

    theirs, ours = both(render)
    assert isinstance(theirs, ValueError)
    assert b"\nm 1.0\n" in ours


@pytest.mark.difference("illegal-labels")
@pytest.mark.parametrize("labels", [{"__name__": "x"}, {"": "x"}, {"le": "x"}], ids=str)
def test_a_label_that_prometheus_refuses(labels):
    def render(library):
        name = "m_bucket" if "le" in labels else "m"
        family = part(library, "core").Metric("m", "M.", "histogram" if "le" in labels else "gauge")
        family.add_sample(name, labels, 1)
        return library.generate_latest(register(library, Yielding(family)))

    theirs, ours = both(render)
    assert b'"x"' in theirs
    assert b'"x"' not in ours


@pytest.mark.difference("illegal-labels")
def test_two_labels_with_one_written_name():
    def render(library):
        family = part(library, "core").Metric("m", "M.", "gauge")
        family.add_sample("m", {"a.b": "1", "a_b": "2"}, 1)
        return library.generate_latest(register(library, Yielding(family))).count(b"a_b=")

    assert both(render) == (2, 1)


@pytest.mark.difference("stray-samples")
def test_a_sample_with_the_name_of_another_family():
    def render(library):
        core = part(library, "core")
        family = core.Metric("m", "M.", "gauge")
        family.add_sample("n", {}, 1)
        other = core.GaugeMetricFamily("n", "N.", 2)
        return library.generate_latest(register(library, Yielding(family, other))).count(b"\nn ")

    assert both(render) == (2, 1)


@pytest.mark.difference("carriage-returns")
def test_a_documentation_with_a_carriage_return():
    def render(library):
        registry = library.CollectorRegistry()
        library.Gauge("m", "a\rb", registry=registry)
        return library.generate_latest(registry).splitlines(keepends=True)[0]

    assert both(render) == (b"# HELP m a\r", b"# HELP m a b\n")


@pytest.mark.difference("openmetrics-2")
def test_a_server_that_asks_for_a_draft():
    accept = "application/openmetrics-text; version=2.0.0"
    theirs, ours = both(lambda library: part(library, "exposition").choose_encoder(accept)[1])
    assert "version=2.0.0" in theirs
    assert "version=2.0.0" not in ours


@pytest.mark.difference("quality")
@pytest.mark.parametrize(
    "accept",
    ["text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0.1", "application/openmetrics-text;q=0"],
)
def test_a_format_that_a_server_likes_less(accept):
    theirs, ours = both(lambda library: part(library, "exposition").choose_encoder(accept)[1])
    assert theirs.startswith("application/openmetrics-text")
    assert ours == "text/plain; version=0.0.4; charset=utf-8"


def parse(library, text):
    return [
        (family.name, sample.labels, sample.value, sample.timestamp)
        for family in part(library, "parser").text_string_to_metric_families(text)
        for sample in family.samples
    ]


@pytest.mark.difference("parser-strictness")
@pytest.mark.parametrize("text", ["a 1 2 3\n", "a 1 1.5\n", "a 1 -5\n", "a 1e400\n", 'a{,b="c"} 1\n'])
def test_a_line_that_prometheus_refuses(text):
    theirs, ours = both(lambda library: parse(library, text))
    assert len(theirs) == 1
    assert isinstance(ours, ValueError)


@pytest.mark.difference("parser-families")
@pytest.mark.parametrize("text", ["a 1\na 2\n", "# TYPE a gauge\na 1\nb 1\na 2\n", "a 1\n# TYPE a gauge\n"])
def test_the_lines_of_a_family_that_are_apart(text):
    def read(library):
        return [family.name for family in part(library, "parser").text_string_to_metric_families(text)]

    theirs, ours = both(read)
    assert (theirs.count("a"), ours.count("a")) == (2, 1)


@pytest.mark.difference("parser-openmetrics")
@pytest.mark.parametrize(
    "text", ["a 1\na 2\n", '# TYPE a histogram\na_bucket{le="1"} 1 # {} 2\na_bucket{le="+Inf"} 1\n']
)
def test_a_line_that_openmetrics_forbids(text):
    def read(library):
        return len(list(part(library, "openmetrics.parser").text_string_to_metric_families(f"{text}# EOF\n")))

    theirs, ours = both(read)
    assert theirs == 1
    assert isinstance(ours, ValueError)


@pytest.mark.difference("parser-numbers")
def test_the_type_of_a_parsed_number():
    theirs, ours = both(lambda library: type(parse(library, "a 1\n")[0][2]))
    assert (theirs, ours) == (int, float)
