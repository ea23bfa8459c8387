"""The tests of other packages that fail on purpose: the fixed list that the published shares leave out.

Each test is listed with the row of docs/migrating.md that tells a user of the difference, and with what the test sees.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ("DIFFERENCES", "Difference")


class Difference(NamedTuple):
    """What a test sees that fails on purpose, and the text of docs/migrating.md about it."""

    reason: str
    documented: str


def _name(slug: str, reason: str) -> Difference:
    """Return the difference whose row in docs/migrating.md is called ``slug``."""
    return Difference(reason, f"| `{slug}` |")


_ASGI = _name("asgi-yields", "The client of the test waits for 0 s: it sees only what is sent at once.")
_FILES = _name("multiprocess-files", "The module of tests imports `mmap_dict`, and looks into the files.")
_NUMBERS = _name("no-numbers", "The test expects that `generate_latest` raises.")
_EXEMPLARS = _name("exemplar-names", "The label `:o)` is refused, as with legacy validation.")
_ESCAPING = _name("escaping-schemes", "The test expects `dotted_dot_counter__total`, under a TYPE of another name.")
_OPENMETRICS_EXEMPLARS = _name("openmetrics-exemplars", "The test expects that `generate_latest` raises.")

_ASGI_TESTS = (
    "test_gzip",
    "test_gzip_disabled",
    "test_openmetrics_encoding",
    "test_plaintext_encoding",
    "test_qs_parsing",
    "test_qs_parsing_multi",
    "test_report_metrics_1",
    "test_report_metrics_2",
    "test_report_metrics_3",
    "test_report_metrics_4",
)
_MULTIPROCESS_TESTS = (
    "TestMmapedDict::test_corruption_detected",
    "TestMmapedDict::test_expansion",
    "TestMmapedDict::test_multi_expansion",
    "TestMmapedDict::test_process_restart",
    "TestMultiProcess::test_child_name_is_built_once_with_namespace_subsystem_unit",
    "TestMultiProcess::test_child_preserves_parent_context_for_subclasses",
    "TestMultiProcess::test_collect",
    "TestMultiProcess::test_collect_histogram_ordering",
    "TestMultiProcess::test_collect_preserves_help",
    "TestMultiProcess::test_counter_across_forks",
    "TestMultiProcess::test_counter_adds",
    "TestMultiProcess::test_gauge_all",
    "TestMultiProcess::test_gauge_liveall",
    "TestMultiProcess::test_gauge_livemax",
    "TestMultiProcess::test_gauge_livemin",
    "TestMultiProcess::test_gauge_livemostrecent",
    "TestMultiProcess::test_gauge_livesum",
    "TestMultiProcess::test_gauge_max",
    "TestMultiProcess::test_gauge_min",
    "TestMultiProcess::test_gauge_mostrecent",
    "TestMultiProcess::test_gauge_sum",
    "TestMultiProcess::test_histogram_adds",
    "TestMultiProcess::test_initialization_detects_pid_change",
    "TestMultiProcess::test_merge_no_accumulate",
    "TestMultiProcess::test_missing_gauge_file_during_merge",
    "TestMultiProcess::test_namespace_subsystem",
    "TestMultiProcess::test_remove_clear_warning",
    "TestMultiProcess::test_restrict",
    "TestMultiProcess::test_summary_adds",
    "TestMultiProcessDeprecation::test_deprecation_warning",
    "TestMultiProcessDeprecation::test_mark_process_dead_respects_lowercase",
    "TestUnsetEnv::test_file_syncpath",
    "TestUnsetEnv::test_unset_syncdir_env",
)
_NUMBER_TESTS = (
    "test_basic_metric_families[-ValueError-CounterMetricFamily]",
    "test_basic_metric_families[-ValueError-GaugeMetricFamily]",
    "test_basic_metric_families[None-TypeError-CounterMetricFamily]",
    "test_basic_metric_families[None-TypeError-GaugeMetricFamily]",
    "test_basic_metric_families[value3-TypeError-CounterMetricFamily]",
    "test_basic_metric_families[value3-TypeError-GaugeMetricFamily]",
    "test_basic_metric_families[value4-TypeError-CounterMetricFamily]",
    "test_basic_metric_families[value4-TypeError-GaugeMetricFamily]",
    "test_basic_metric_families[x-ValueError-CounterMetricFamily]",
    "test_basic_metric_families[x-ValueError-GaugeMetricFamily]",
    "test_histogram_metric_families[buckets0-None-TypeError-GaugeHistogramMetricFamily]",
    "test_histogram_metric_families[buckets1-0-TypeError-GaugeHistogramMetricFamily]",
    "test_histogram_metric_families[buckets2-0-AttributeError-GaugeHistogramMetricFamily]",
    "test_histogram_metric_families[buckets3-0-TypeError-GaugeHistogramMetricFamily]",
    "test_histogram_metric_families[buckets4-0-AttributeError-GaugeHistogramMetricFamily]",
    "test_histogram_metric_families[buckets5--ValueError-GaugeHistogramMetricFamily]",
    "test_histogram_metric_families[buckets6-0-ValueError-GaugeHistogramMetricFamily]",
    "test_histogram_metric_families[buckets7-0-ValueError-GaugeHistogramMetricFamily]",
    "test_summary_metric_family[-0-ValueError]",
    "test_summary_metric_family[0--ValueError]",
    "test_summary_metric_family[0-None-TypeError]",
    "test_summary_metric_family[0-sum_value5-TypeError]",
    "test_summary_metric_family[0-sum_value7-TypeError]",
    "test_summary_metric_family[None-0-TypeError]",
    "test_summary_metric_family[count_value4-0-TypeError]",
    "test_summary_metric_family[count_value6-0-TypeError]",
)


def _list(path: str, tests: tuple[str, ...], difference: Difference) -> dict[str, Difference]:
    return {f"{path}::{test}": difference for test in tests}


DIFFERENCES: dict[str, dict[str, Difference]] = {
    "prometheus-client": {
        **_list("tests/test_asgi.py::ASGITest", _ASGI_TESTS, _ASGI),
        **_list("tests/test_multiprocess.py", _MULTIPROCESS_TESTS, _FILES),
        **_list("tests/test_exposition.py", _NUMBER_TESTS, _NUMBERS),
        "tests/test_core.py::TestCollectorRegistry::test_autodescribe_disabled_by_default": _name(
            "registration-collects-nothing", "Two collectors without `describe` may yield one name."
        ),
        "tests/test_core.py::TestCounter::test_exemplar_invalid_label_name": _EXEMPLARS,
        "tests/test_core.py::TestHistogram::test_exemplar_invalid_label_name": _EXEMPLARS,
        "tests/test_core.py::TestMetricFamilies::test_bad_constructors": _name(
            "family-buckets", "`buckets={}` raises ValueError and no KeyError."
        ),
        "tests/test_exposition.py::TestChooseEncoder::test_openmetrics_dots_escaping": _ESCAPING,
        "tests/test_exposition.py::TestChooseEncoder::test_prom_dots_escaping": _ESCAPING,
        "tests/test_exposition.py::TestGenerateText::test_timestamp": _name(
            "impossible-times", "One of the times is negative, which Prometheus refuses in text."
        ),
        "tests/test_exposition.py::TestPushGateway::test_push_with_invalid_compression": _name(
            "error-classes", "The ValueError has other words."
        ),
        "tests/test_platform_collector.py::TestPlatformCollector::test_system_info_java": _name(
            "jython", "The platform of the test is Jython."
        ),
    },
    "prometheus-client-openmetrics": {
        **_list(
            "tests/openmetrics/test_exposition.py::TestGenerateText",
            ("test_counter_non_total_exemplar", "test_histogram_non_bucket_exemplar", "test_untyped_exemplar"),
            _OPENMETRICS_EXEMPLARS,
        ),
        "tests/openmetrics/test_exposition.py::TestGenerateText::test_histogram_negative_buckets": _name(
            "openmetrics-forbids", "The test expects the count of a histogram without a sum."
        ),
        "tests/openmetrics/test_exposition.py::TestGenerateText::test_timestamp": _name(
            "openmetrics-numbers", "The test expects the time 123 as it was yielded."
        ),
    },
    "rq-exporter": {
        "tests/test_collector.py::RQCollectorTestCase::test_metrics_with_data": _name(
            "registration-collects-nothing", "The test counts a call of `collect` at the registration."
        ),
    },
}
