"""`Pusher`: the times of collections, retries, the bounded buffer, the end, and what its metrics and the log say."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from itertools import pairwise

import anyio
import pytest

from asyncmetrics import Counter
from asyncmetrics.bridges import Part, Payload, Pusher
from asyncmetrics.bridges.push.pending import Pending
from asyncmetrics.errors import DefinitionError, PushError
from asyncmetrics.metrics import Gauge
from tests.bridges.push.sinks import KeepingSink, refuse, unavailable
from tests.loops import LoopThread
from tests.patience import wait_for
from tests.virtual_time import run_in_virtual_time


@pytest.fixture(params=["asyncio", "trio"])
def backend(request):
    return request.param


VIRTUAL_SECONDS = 5
FAILED, DROPPED = "asyncmetrics_push_total", "asyncmetrics_push_dropped_total"


@pytest.fixture
def push(backend, registry):
    """Push to ``sink`` for ``seconds`` of virtual time; ``then`` is called before the end."""

    def push(sink, seconds, then=lambda: None, **options):
        async def main():
            async with Pusher(sink, registry, **{"interval": 10.0, "job": "shop", "instance": "here:0"} | options):
                await anyio.sleep(seconds)
                then()
            return anyio.current_time()

        return run_in_virtual_time(backend, main)

    return push


@pytest.fixture
def count(registry):
    def count(outcome):
        return registry.get_sample_value(FAILED, {"sink": "kept", "outcome": outcome})

    return count


def test_the_first_collection_comes_at_once_and_the_last_one_at_the_end(push):
    sink = KeepingSink()
    push(sink, 25)
    assert sink.attempts == [0, 10, 20, 25]
    assert sink.numbers == [1, 2, 3, 4]


def test_a_server_that_is_down_for_ten_seconds_gets_everything_soon_after_it(backend, registry, caplog):
    sink = KeepingSink()
    sink.is_down = True

    async def main():
        async with Pusher(sink, registry, interval=1.0, max_pending=100, instance="here:0"):
            await anyio.sleep(10.5)
            sink.is_down = False
            await anyio.sleep(6)
            assert sink.numbers[:10] == list(range(1, 11))
            assert sink.attempts[-1] >= 10.5

    with caplog.at_level(logging.INFO, "asyncmetrics"):
        run_in_virtual_time(backend, main)
    assert caplog.text.count("a push has failed and will be tried again") == 1
    assert caplog.text.count("the pushes succeed again") == 1


def test_a_slow_server_delays_no_collection(push):
    sink = KeepingSink(duration=25.0)
    push(sink, 45, shutdown_timeout=1000)
    assert len(sink.collected) == 6
    assert sink.numbers == [1, 2, 3, 4, 5, 6]


def test_a_collection_takes_place_while_a_retry_waits(push, count):
    sink = KeepingSink([unavailable(retry_after=35)])
    push(sink, 39)
    assert sink.attempts[:2] == [0, 35]
    assert sink.numbers == [1, 2, 3, 4, 5]
    assert count("retried") == 1
    assert count("ok") == 5


def test_a_server_may_not_ask_for_a_day(push):
    sink = KeepingSink([unavailable(retry_after=86_400)])
    push(sink, 301)
    assert sink.attempts[:2] == [0, 300]


def test_the_oldest_collection_is_dropped_from_a_full_buffer(push, registry):
    sink = KeepingSink()
    sink.is_down = True
    push(sink, 65, partial(setattr, sink, "is_down", False), max_pending=3)
    assert sink.numbers == [6, 7, 8]
    assert registry.get_sample_value(DROPPED, {"sink": "kept"}) == 5


def test_a_sink_that_replaces_gets_the_newest_collection_only(push, registry):
    sink = KeepingSink()
    sink.replaces = True
    sink.is_down = True
    push(sink, 65, partial(setattr, sink, "is_down", False))
    assert sink.numbers == [8]
    assert registry.get_sample_value(DROPPED, {"sink": "kept"}) is None


@pytest.mark.parametrize(("replaces", "most"), [(True, 10), (False, 2)])
def test_collections_that_are_dropped_are_freed(push, replaces, most):
    sink = KeepingSink(parts=200)
    sink.replaces, sink.is_down, waiting = replaces, True, []
    push(sink, 65, lambda: waiting.extend(1 for payload in sink.payloads if payload.parts), max_pending=most)
    assert len(sink.payloads) == 8
    assert len(waiting) == (1 if replaces else most)
    assert not any(payload.parts for payload in sink.payloads)


def test_memory_is_freed_in_short_steps():
    pending = Pending(1, replaces=False, on_dropped=lambda number: None)
    first = Payload(1.0, [Part(b"")] * 1000)
    pending.add(first)
    pending.add(Payload(2.0))
    left = [len(first.parts) for _ in pending.free_in_steps()]
    assert left[-1] == 0
    assert all(before - after <= 100 for before, after in pairwise([1000, *left]))


def test_a_part_that_is_refused_is_dropped_and_the_rest_goes_on(push, count, caplog):
    sink = KeepingSink([None, refuse(), None, None, refuse(), None], parts=3)
    push(sink, 5)
    assert [sent[:2] for sent in sink.sent] == [(1, 0), (1, 2), (2, 0), (2, 2)]
    assert count("rejected") == 2
    assert caplog.text.count("a part of a push was refused and is dropped") == 1


def test_each_kind_of_refusal_is_logged_once(push, caplog):
    problems = [refuse(f"the answer was 400 Bad Request: sample {number} is old") for number in range(3)]
    push(KeepingSink([*problems, refuse("the answer was 401 Unauthorized")]), 45)
    assert caplog.text.count("was refused") == 2


def test_a_mistake_in_a_sink_is_counted_and_logged_once(push, count, caplog):
    sink = KeepingSink([ZeroDivisionError("mine"), ZeroDivisionError("mine")])
    push(sink, 25)
    assert sink.numbers == [3, 4]
    assert count("failed") == 2
    assert caplog.text.count("ZeroDivisionError: mine") == 1


def test_an_error_of_the_system_is_tried_again(push, count):
    sink = KeepingSink([ConnectionResetError(104, "reset"), TimeoutError()])
    push(sink, 5)
    assert sink.numbers == [1, 2]
    assert count("retried") == 2


def test_a_predicate_that_raises_fails_the_collection_alone(push, count, caplog):
    sink = KeepingSink()
    push(sink, 5, families=lambda family: 1 / 0)
    assert sink.sent == []
    assert count("failed") == 2
    assert caplog.text.count("were not sent because of an error") == 1


def test_a_dead_server_costs_the_shutdown_timeout_and_no_more(push, registry, caplog):
    sink = KeepingSink()
    sink.is_down = True
    assert push(sink, 25, shutdown_timeout=4) == pytest.approx(29)
    assert registry.get_sample_value(DROPPED, {"sink": "kept"}) == 4
    assert registry.get_sample_value("asyncmetrics_push_pending", {"sink": "kept"}) == 0
    assert caplog.text.count("could not be sent within the shutdown_timeout") == 1
    assert "4 collections could not be sent within the shutdown_timeout" in caplog.text


def test_a_hanging_server_costs_the_shutdown_timeout_and_no_more(push):
    assert push(KeepingSink(duration=1e6), 25, shutdown_timeout=4) == pytest.approx(29)


def test_the_newest_collection_is_sent_if_the_time_is_short(push):
    sink = KeepingSink(duration=1.9)
    sink.is_down = True
    push(sink, 45, partial(setattr, sink, "is_down", False), shutdown_timeout=4)
    assert sink.numbers[-1] == 6


def test_a_cancelled_program_makes_the_last_push(backend, registry):
    sink = KeepingSink(duration=0.5)

    async def main():
        with anyio.move_on_after(VIRTUAL_SECONDS):
            async with Pusher(sink, registry, instance="here:0"):
                await anyio.sleep_forever()

    run_in_virtual_time(backend, main)
    assert sink.attempts == [0, 5]
    assert sink.numbers == [1, 2]


def test_a_task_that_asyncio_cancels_twice_makes_the_last_push(registry):
    sink = KeepingSink(duration=0.5)

    async def work():
        async with Pusher(sink, registry, instance="here:0"):
            await anyio.sleep_forever()

    async def main():
        task = asyncio.get_running_loop().create_task(work())
        await asyncio.sleep(5)
        task.cancel()
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_in_virtual_time("asyncio", main)
    assert sink.numbers == [1, 2]


def test_the_exception_of_the_body_wins(backend, registry):
    sink = KeepingSink([ZeroDivisionError()] * 9)

    async def main():
        async with Pusher(sink, registry, instance="here:0"):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run_in_virtual_time(backend, main)


def test_push_sends_at_once_beside_the_background_and_one_at_a_time(backend, registry):
    sink = KeepingSink(duration=1.0)

    async def main():
        async with (
            Pusher(sink, registry, interval=5.0, instance="here:0") as pusher,
            anyio.create_task_group() as tasks,
        ):
            await anyio.sleep(4.5)
            tasks.start_soon(pusher.push)
            tasks.start_soon(pusher.push)
            await anyio.sleep(4)

    run_in_virtual_time(backend, main)
    assert len(sink.sent) == 5
    assert sink.most_senders == 1


@pytest.mark.parametrize("error", [unavailable(), refuse()], ids=["unavailable", "refused"])
def test_push_raises(backend, registry, error):
    sink = KeepingSink([error])

    async def main():
        with pytest.raises(PushError) as caught:
            await Pusher(sink, registry, instance="here:0").push()
        assert caught.value is error
        await Pusher(sink, registry, instance="here:0").push()

    run_in_virtual_time(backend, main)
    assert sink.numbers == [2]
    assert sink.closed == 2


def test_a_pusher_starts_again_after_its_end(backend, registry):
    sink = KeepingSink()
    pusher = Pusher(sink, registry, instance="here:0")

    async def main():
        assert not pusher.is_started()
        await pusher.stop()
        for _ in range(2):
            await pusher.start()
            await pusher.start()
            assert pusher.is_started()
            await anyio.sleep(1)
            await pusher.stop()
            assert not pusher.is_started()

    run_in_virtual_time(backend, main)
    run_in_virtual_time(backend, main)
    assert sink.numbers == list(range(1, 9))


def test_of_several_loops_one_pushes_and_the_next_one_takes_over(backend, registry):
    sink = KeepingSink()
    pusher = Pusher(sink, registry, instance="here:0")
    with LoopThread(backend) as one, LoopThread("asyncio") as two:
        one.call(pusher.start)
        two.call(pusher.start)
        assert one.call(pusher.is_started)
        assert two.call(pusher.is_started)
        one.call(pusher.stop)
        assert not one.call(pusher.is_started)
        assert two.call(pusher.is_started)
        before = len(sink.sent)
        two.call(pusher.stop)
    assert len(sink.sent) == before + 1


def test_stop_all_ends_another_loop_with_its_last_push(backend, registry):
    sink = KeepingSink()
    pusher = Pusher(sink, registry, instance="here:0")
    with LoopThread(backend) as loop:
        loop.call(pusher.start)
        pusher.stop_all()
        assert not loop.call(pusher.is_started)
        wait_for(lambda: sink.closed == 1, expected=True)
    assert sink.sent


@pytest.mark.parametrize(
    ("families", "names"),
    [
        (["orders_total"], {"orders_total"}),
        (["orders"], {"orders_total"}),
        (["q*", "nothing"], {"queue_size"}),
        (lambda family: family.type == "gauge" and family.name == "queue_size", {"queue_size"}),
    ],
    ids=["sample", "family", "pattern", "predicate"],
)
def test_families_choose(push, registry, families, names):
    Counter("orders", "Orders.", registry=registry).inc()
    Gauge("queue_size", "Queue.", registry=registry).set(1)
    sink = KeepingSink()
    push(sink, 1, families=families)
    assert {name for name, _ in sink.collected[0] if not name.endswith("_created")} == names


def test_metrics_are_exposed_from_the_first_event_on(push, registry):
    push(KeepingSink(), 1)
    names = {sample.name for family in registry.collect() for sample in family.samples if "push" in family.name}
    assert "asyncmetrics_push_total" in names
    assert "asyncmetrics_push_last_success_timestamp_seconds" in names
    assert "asyncmetrics_push_dropped_total" not in names


WRONG = {
    "sink": ({"sink": "http://host"}, r"RemoteWrite\('http://host'\)"),
    "class": ({"sink": KeepingSink}, r"write KeepingSink\(…\)"),
    "two": ({"sink": [KeepingSink()]}, "write one sink; start a Pusher for each other one"),
    "no name": ({"sink": type("Nameless", (KeepingSink,), {"name": None})()}, "Nameless: .*write name = 'nameless'"),
    "registry": ({"registry": 3}, "registry"),
    "interval": ({"interval": 0}, "more than 0 seconds"),
    "shutdown": ({"shutdown_timeout": "5s"}, "shutdown_timeout.*write 5"),
    "pending": ({"max_pending": 0}, "max_pending"),
    "job": ({"job": ""}, "job"),
    "instance": ({"instance": 3}, "instance"),
    "text": ({"families": "http_*"}, r"write \['http_\*'\]"),
    "empty": ({"families": []}, "sends nothing"),
    "number": ({"families": [3]}, "each a str"),
    "spaces": ({"families": [" a"]}, "without spaces"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_refused(case):
    arguments, message = WRONG[case]
    with pytest.raises(DefinitionError, match=message):
        Pusher(**{"sink": KeepingSink()} | arguments)


@pytest.mark.parametrize(
    ("encode", "message"),
    [
        (lambda *_: Payload(1.0), r"Wrong: encode_in_steps: expected a generator, which has a yield, got <"),
        (
            lambda *_: (step for step in ()),
            r"Wrong: encode_in_steps: expected return Payload\(…\) at its end, got None",
        ),
    ],
    ids=["no generator", "no payload"],
)
def test_a_wrong_encoder_is_named(backend, registry, encode, message):
    sink = type("Wrong", (KeepingSink,), {"encode_in_steps": encode})()
    with pytest.raises(DefinitionError, match=message):
        run_in_virtual_time(backend, Pusher(sink, registry).push)


class ChangesSink(KeepingSink):
    """A sink of changes: what was sent counts once the part was sent."""

    sends_changes = True

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.known = 0.0
        self.received = 0.0

    def encode_in_steps(self, families, now, identity):
        total = 0.0
        for family in families:
            total += sum(sample.value for sample in family.samples if sample.name == "orders_total")
            yield
        change = total - self.known

        def note():
            self.known += change
            self.received += change

        self.collected.append(total)
        return Payload(now, [Part(repr((len(self.collected), change)).encode(), on_sent=note)])


def test_no_change_is_sent_twice_or_lost_while_attempts_fail_and_push_is_called(backend, registry):
    orders = Counter("orders", "Orders.", registry=registry)
    sink = ChangesSink([None, unavailable(), unavailable(), None, unavailable()], duration=3.0)

    async def main():
        async with Pusher(sink, registry, interval=2.0, instance="here:0") as pusher:
            for second in range(40):
                orders.inc()
                await anyio.sleep(1)
                if second % 10 == 9:
                    await pusher.push()

    run_in_virtual_time(backend, main)
    assert sink.received == sink.collected[-1] == 40
