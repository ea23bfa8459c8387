"""How to test code that counts: give it its own registry, and read a sample's value from that registry.

The test needs no server, no exposition and no clean-up, and two tests cannot influence each other.

Run it from the root of a clone::

    pip install -e . pytest
    pytest examples/testing_metrics.py
"""

from asyncmetrics import REGISTRY, CollectorRegistry, Counter


class Till:
    """A part of an application that takes its registry as an argument; the default is the global registry."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.sales = Counter("till_sales_total", "Sales.", ["payment"], registry=registry)

    def sell(self, payment: str) -> None:
        self.sales.labels(payment).inc()


def test_a_sale_is_counted_by_its_payment() -> None:
    registry = CollectorRegistry()
    till = Till(registry)
    till.sell("card")
    till.sell("card")
    assert registry.get_sample_value("till_sales_total", {"payment": "card"}) == 2
    assert registry.get_sample_value("till_sales_total", {"payment": "cash"}) is None


if __name__ == "__main__":
    test_a_sale_is_counted_by_its_payment()
    print("as expected: two sales by card, none in cash")
