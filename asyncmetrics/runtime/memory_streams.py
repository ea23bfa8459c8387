"""The memory streams of anyio and the memory channels of trio: their buffer, and the tasks that wait on both sides.

*Theory of operation.* All ends of a stream, and their clones, share one state. It has three containers, which are
replaced by ones that record what goes through them:

1. The buffer. An item that is appended was put, and one that is popped was taken, without a wait.
2. The senders that wait, each with its item. A receiver takes the first one out, and appends its item to the buffer.
   A sender that gives up takes itself out.
3. The receivers that wait. A sender takes the first one out, and hands its item over: the item was in the queue for
   0 s. A receiver that gives up takes itself out. A sender of anyio may meet one that is cancelled and has not run
   since: it takes this one out as well, and goes on to the next.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any, NamedTuple, final

from asyncmetrics.runtime.objects import Instruments, ObjectOptions
from asyncmetrics.runtime.queues import QUEUES, QueueNumbers, QueueSeries

__all__ = ("INTEGRATION",)


_NO_DEFAULT: Any = object()


class _Names(NamedTuple):
    """The names of the containers of a state."""

    buffer: str
    senders: str
    receivers: str


_ANYIO = _Names("buffer", "waiting_senders", "waiting_receivers")
_TRIO = _Names("data", "send_tasks", "receive_tasks")


def _begin(state: Any, options: ObjectOptions) -> Callable[[Any], object]:
    names = _TRIO if type(state).__module__.startswith("trio.") else _ANYIO
    queues = QUEUES.get(options["registry"], options["namespace"])

    def read(target: Any) -> QueueNumbers:
        return QueueNumbers(len(getattr(target, names.buffer)), target.max_buffer_size)

    buffer, senders, receivers = (getattr(state, name) for name in names)
    series = queues.add(state, "MemoryStream", read, options["name"])
    measured = _Buffer(buffer, series)
    setattr(state, names.buffer, measured)
    setattr(state, names.senders, _Senders(senders, series, measured))
    setattr(state, names.receivers, _Receivers(receivers, series))

    def end(target: Any) -> None:
        for name, kind in zip(names, (deque, OrderedDict, OrderedDict), strict=True):
            setattr(target, name, kind(getattr(target, name)))
        queues.remove(target)

    return end


INTEGRATION = Instruments(_begin, lambda stream: stream._state)


@final
class _Buffer(deque[Any]):
    """The items that were sent, and not received."""

    __slots__ = ("_series", "_times", "is_from_sender")

    def __init__(self, items: Iterable[Any], series: QueueSeries) -> None:
        super().__init__(items)
        self._series = series
        self._times: deque[float] = deque([0.0] * len(self))
        self.is_from_sender = False
        """Whether the next item comes from a sender that has waited."""

    def append(self, item: Any, /) -> None:
        super().append(item)
        self._times.append(perf_counter())
        if self.is_from_sender:
            self.is_from_sender = False
        else:
            self._series.observe_put(0.0)

    def popleft(self) -> Any:
        item = super().popleft()
        put_at = self._times.popleft() if self._times else 0.0
        series = self._series
        if put_at:  # else it was there before the stream was instrumented
            series.observe_item(perf_counter() - put_at)
        series.observe_get(0.0)
        return item

    def clear(self) -> None:
        super().clear()
        self._times.clear()


class _Waiting(OrderedDict[Any, Any]):
    """The tasks that wait on one side, in their order, and since when each waits."""

    def __init__(self, tasks: OrderedDict[Any, Any], observe: Callable[[float], object]) -> None:
        self._starts: dict[Any, float] = {}
        self._observe = observe
        super().__init__(tasks)

    def __setitem__(self, task: Any, value: Any, /) -> None:
        super().__setitem__(task, value)
        self._starts[task] = perf_counter()

    # In some versions, `pop` and `popitem` of the base call `__delitem__`: only the first call finds a start.
    def __delitem__(self, task: Any, /) -> None:
        super().__delitem__(task)
        self._end(task)

    def pop(self, key: Any, default: Any = _NO_DEFAULT) -> Any:
        value = super().pop(key) if default is _NO_DEFAULT else super().pop(key, default)
        self._end(key)
        return value

    def popitem(self, last: bool = True) -> tuple[Any, Any]:
        found = super().popitem(last)
        self._end(found[0])
        return found

    def clear(self) -> None:
        super().clear()
        for task in list(self._starts):
            self._end(task)

    def _end(self, task: Any) -> None:
        started = self._starts.pop(task, None)
        if started is not None:
            self._observe(perf_counter() - started)


@final
class _Senders(_Waiting):
    """The senders that wait for room in the buffer."""

    def __init__(self, tasks: OrderedDict[Any, Any], series: QueueSeries, buffer: _Buffer) -> None:
        super().__init__(tasks, series.observe_put)
        self._buffer = buffer

    def popitem(self, last: bool = True) -> tuple[Any, Any]:
        found = super().popitem(last)
        self._buffer.is_from_sender = True
        return found


@final
class _Receivers(_Waiting):
    """The receivers that wait for an item."""

    def __init__(self, tasks: OrderedDict[Any, Any], series: QueueSeries) -> None:
        super().__init__(tasks, series.observe_get)
        self._series = series

    def popitem(self, last: bool = True) -> tuple[Any, Any]:
        found = super().popitem(last)
        task = getattr(found[1], "task_info", None)  # None in trio
        if task is None or not task.has_pending_cancellation():  # else it gets no item
            self._series.observe_put(0.0)
            self._series.observe_item(0.0)
        return found
