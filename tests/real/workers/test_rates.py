"""A Prometheus that scrapes workers through their one port, while they are replaced one after the other."""

from __future__ import annotations

import time
from math import ceil

import pytest

# Rates, and how long a loop is held: one after the other.
pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.xdist_group("rates")]

WINDOW = 10
RATE = f"sum(rate(answered_total[{WINDOW}s]))"


def highest(asked: list[tuple[float, float]], scraped: list[float], lasted: float) -> float:
    """Return the highest rate that a window can have: of answers that may lie between its first and its last scrape.

    Prometheus extrapolates by 1.1 times the mean distance of two scrapes at most at either end of a window.
    """
    rates = []
    for end in range(int(scraped[0]), int(scraped[-1]) + 2):
        inside = [at for at in scraped if end - WINDOW < at <= end]
        if len(inside) > 1:
            first, last = inside[0], inside[-1]
            counted = sum(ended >= first and began <= last + lasted for began, ended in asked)
            covered = min(WINDOW, (last - first) * (1 + 2.2 / (len(inside) - 1)))
            rates.append(counted / (last - first) * covered / WINDOW)
    return max(rates)


def test_no_rate_is_negative_or_higher_than_what_there_was(start, load, start_prometheus, seconds):
    begun = time.time()
    server = start("uvicorn", "--limit-max-requests 200", workers=4)
    prometheus = start_prometheus({"workers": f"http://127.0.0.1:{server.port}"}, "1s")
    prometheus.wait_for("up", lambda rows: [row["value"][1] for row in rows] == ["1"])
    tally = load(server, max(seconds, 3 * WINDOW), enough=lambda tally: len(tally.pids) > 4)
    server.await_value(4, "asyncmetrics_workers", state="live")
    total = server.value("answered_total")
    prometheus.wait_for("sum(answered_total)", lambda rows: rows and float(rows[0]["value"][1]) == total)

    span = f"{ceil(time.time() - begun)}s"
    asked = (
        "sum(resets(answered_total[1h]))",
        f"min_over_time(({RATE})[{span}:1s])",
        f"max_over_time(({RATE})[{span}:1s])",
    )
    resets, lowest, most = (float(prometheus.query(query)[0]["value"][1]) for query in asked)
    (up,) = prometheus.query("up[1h]")
    (lasted,) = prometheus.query("max_over_time(scrape_duration_seconds[1h])")
    true = highest(tally.asked, [at for at, state in up["values"] if state == "1"], float(lasted["value"][1]))
    print(f"{tally}; {total:.0f} counted")
    print(*(f"{query} = {found:.2f}" for query, found in zip(asked, (resets, lowest, most), strict=True)), sep="\n")
    print(f"the highest rate that there was: {true:.2f}")
    assert resets == 0
    assert lowest >= 0
    assert most <= 1.2 * true  # a series that begins in a window is extrapolated by its own scrapes
    assert len(tally.pids) > 4
    assert tally.answered <= total - 1 <= tally.answered + tally.failed
