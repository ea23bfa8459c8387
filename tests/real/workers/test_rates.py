"""A Prometheus that scrapes workers through their one port, while they are replaced one after the other."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.real, pytest.mark.slow]

WINDOW = 10
RATE = f"sum(rate(answered_total[{WINDOW}s]))"


def highest(times: list[float], window: float) -> float:
    """Return the highest rate that there was over so many seconds."""
    return max(sum(at <= other < at + window for other in times) for at in times[::50]) / window


def test_no_rate_is_negative_or_higher_than_what_there_was(start, load, start_prometheus, seconds):
    server = start("uvicorn", "--limit-max-requests 200", workers=4)
    prometheus = start_prometheus({"workers": f"http://127.0.0.1:{server.port}"}, "1s")
    prometheus.wait_for("up", lambda rows: [row["value"][1] for row in rows] == ["1"])
    tally = load(server, max(seconds, 3 * WINDOW))
    server.await_value(4, "asyncmetrics_workers", state="live")
    total = server.value("answered_total")
    prometheus.wait_for("sum(answered_total)", lambda rows: rows and float(rows[0]["value"][1]) == total)

    span = f"{max(seconds, 3 * WINDOW):.0f}s"
    asked = (
        "sum(resets(answered_total[1h]))",
        f"min_over_time(({RATE})[{span}:1s])",
        f"max_over_time(({RATE})[{span}:1s])",
    )
    resets, lowest, most = (float(prometheus.query(query)[0]["value"][1]) for query in asked)
    true = highest(tally.answered_at, WINDOW - 2)
    print(f"{tally}; {total:.0f} counted")
    print(*(f"{query} = {found:.2f}" for query, found in zip(asked, (resets, lowest, most), strict=True)), sep="\n")
    print(f"the highest rate that there was: {true:.2f}")
    assert resets == 0
    assert lowest >= 0
    assert most <= 1.2 * true  # a window begins and ends between two scrapes
    assert len(tally.pids) > 4
    assert tally.answered <= total - 1 <= tally.answered + tally.failed
