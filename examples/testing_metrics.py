"""How to test code that counts: assert by how much a metric has changed, whatever has counted before.

The metrics are declared in the module, as everywhere, and the tests reset nothing. pytest has the fixture
``metric_changes``; this file makes the same object itself where it runs as a program.

Run it from the root of a clone::

    pip install -e . pytest
    pytest examples/testing_metrics.py
"""

import asyncio

from asyncmetrics import Counter, make_asgi_app
from asyncmetrics.testing import MetricChanges, compare, isolated_registry, scrape

sales = Counter("till_sales_total", "Sales.", ["payment"])


def sell(payment: str) -> None:
    sales.labels(payment).inc()


def test_a_sale_is_counted_by_its_payment(metric_changes: MetricChanges) -> None:
    sell("card")
    sell("card")
    metric_changes.assert_delta("till_sales_total", 2, payment="card")
    metric_changes.assert_delta("till_sales_total", 0, payment="cash")


def test_a_scrape_has_the_sales() -> None:
    sell("cash")
    metrics = asyncio.run(scrape(make_asgi_app()))
    assert metrics.value("till_sales_total", payment="cash") >= 1


def test_a_module_that_is_imported_anew_declares_its_metrics_in_a_registry_of_the_test() -> None:
    with isolated_registry() as registry:
        Counter("till_sales_total", "Sales.", ["payment"]).labels("card").inc()
    compare(registry, 'till_sales_total{payment="card"} 1')


if __name__ == "__main__":
    changes = MetricChanges()
    test_a_sale_is_counted_by_its_payment(changes)
    test_a_scrape_has_the_sales()
    test_a_module_that_is_imported_anew_declares_its_metrics_in_a_registry_of_the_test()
    print(f"as expected: {changes.delta('till_sales_total', payment='card'):.0f} sales by card and 1 in cash")
