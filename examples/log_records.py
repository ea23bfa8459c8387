"""Every log record and every logged exception is a number, without a change of the code that logs.

The output has the records of `shop.orders` by level, and the exception by its type. Records below the level of a logger
are not counted.

Run it from the root of a clone::

    pip install -e .
    python examples/log_records.py
"""

import logging

import asyncmetrics

log = logging.getLogger("shop.orders")


def divide(total: int, people: int) -> None:
    log.debug("dividing %s by %s", total, people)
    try:
        log.info("everyone pays %s", total / people)
    except ZeroDivisionError:
        log.exception("nobody pays")


asyncmetrics.instrument_all(only=["logging"])  # without `only`: every library that asyncmetrics knows
logging.basicConfig(level=logging.INFO, handlers=[logging.NullHandler()])

for people in (2, 4, 0):
    divide(100, people)

exposition = asyncmetrics.generate_latest().decode()
print(*(line for line in exposition.splitlines() if line.startswith("log_")), sep="\n")
