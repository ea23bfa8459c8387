"""The explorer finds the faults of small metrics that are broken on purpose, and none in the one that is not."""

from __future__ import annotations

import importlib
import sys
from textwrap import indent

import pytest

from tests.concurrency.explorer.cases import Case, Setting
from tests.concurrency.explorer.exploration import explore
from tests.concurrency.explorer.model import Setup
from tests.concurrency.explorer.tracing import Scope
from tests.concurrency.explorer.worlds import World

pytestmark = pytest.mark.slow
CHILD = """
class Child:
    def __init__(self, values):
        self.labelvalues, self.value = values, 0.0

    def inc(self):
        self.value += 1.0

    def read_numbers(self):
        return (self.value,)
"""
TABLE = """
import threading
from toy_child import Child

class Family:
    def __init__(self, read):
        self.read_batches = read

class Metric:
    def __init__(self):
        self.table, self.listed, self.lock = {{}}, [], threading.Lock()

    def labels(self, *values):
        child = self.table.get(values)
        if child is None:
{create}
        return child

    def remove(self, *values):
{remove}

    def clear(self):
        for values in list(self.table):
            self.remove(*values)

    def label_values(self):
        return list(self.table)

    def list_callbacks(self):
        return []

    def make_family(self):
        return Family(self.read)

    def read(self):
{read}
"""
CORRECT = {
    "create": "child = self.table.setdefault(values, Child(values))",
    "remove": "self.table.pop(values, None)",
    "read": "yield list(self.table.values())",
}
LISTED = {  # two structures that are changed one after the other
    "create": """child = self.table.setdefault(values, Child(values))
if child not in self.listed:
    self.listed.append(child)""",
    "remove": """child = self.table.pop(values, None)
if child in self.listed:
    self.listed.remove(child)""",
    "read": "yield list(self.listed)",
}
MODES = ("thread", "handler", "raise", "exit, again")
BROKEN = {
    "looks, then makes": (
        {"create": "child = self.table[values] = Child(values)"},
        {"thread": "an outcome of no order", "handler": "an outcome of no order"},
    ),
    "lists after it is found": (
        LISTED,
        {"thread": "missing in a reading", "raise": "table and reading differ", "exit, again": "missing in a reading"},
    ),
    "reads twice": (
        {"read": "some = list(self.table.values())\nyield some[:2]\nyield list(self.table.values())[2:] + some[2:]"},
        {"thread": "twice in a reading"},
    ),
    "keeps what is removed": (
        {"remove": "self.listed.append(self.table.pop(values, None))"},
        {"thread": "a removed child is not freed", "raise": "a removed child is not freed"},
    ),
    "swallows": (
        {
            "create": """try:
    child = self.table.setdefault(values, Child(values))
except Exception:
    child = Child(values)"""
        },
        {"raise": "an exception is swallowed"},
    ),
    "locks carelessly": (
        {"create": "self.lock.acquire()\nchild = self.table.setdefault(values, Child(values))\nself.lock.release()"},
        {"thread": "deadlock", "handler": "deadlock", "raise": "deadlock"},
    ),
}


@pytest.fixture
def explore_toy(tmp_path, monkeypatch):
    def explore_toy(parts, a="use remake", b="use remake remove", modes=MODES, hot=("toy_child.py",), **options):
        texts = {
            name: indent(text, " " * (12 if name == "create" else 8)) for name, text in {**CORRECT, **parts}.items()
        }
        (tmp_path / "toy_child.py").write_text(parts.get("child", CHILD), encoding="utf-8")
        (tmp_path / "toy_table.py").write_text(TABLE.format(**texts), encoding="utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))
        forget_toys()
        table = importlib.import_module("toy_table")

        class ToyWorld(World):
            def make_metric(self, registry):
                return table.Metric()

        class ToySetting(Setting):
            def make_world(self, storage, clock):
                return ToyWorld(storage, self.setup, clock)

        setting = ToySetting("new", Setup({"u": 1.0, "v": 2.0}), a, b)
        cases = [Case("memory", setting, one, two, modes) for one in a.split() for two in b.split()]
        return explore(cases, scope=Scope(str(tmp_path), hot=hot), **options)

    yield explore_toy
    forget_toys()


def forget_toys():
    for name in ("toy_child", "toy_table"):
        sys.modules.pop(name, None)


def test_a_correct_toy_has_no_fault(explore_toy):
    report = explore_toy({})
    assert list(report.list_lines()) == []
    assert report.interleavings > 300


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_toy_is_found(name, explore_toy):
    parts, expected = BROKEN[name]
    # A busy machine makes more waits look like deadlocks, so only the toy with deadlocks gets little patience.
    options = {"patience": 0.05} if "deadlock" in expected.values() else {}
    report = explore_toy(parts, a="use", b="use remake", **options)
    found = {(violation.mode, violation.kind) for violation in report.counts}
    assert set(expected.items()) <= found


def test_what_relies_on_where_cpython_switches_is_broken_elsewhere(explore_toy):
    """`Child.inc` is right in a hot file, and only there: in others it is stopped between the load and the store."""
    report = explore_toy({}, a="use", b="use", modes=("thread", "handler"), hot=())
    assert report.count_kinds().keys() == {"an outcome of no order", "wrong number in a reading"}


def test_a_report_names_each_fault_once(explore_toy):
    report = explore_toy(BROKEN["looks, then makes"][0], a="use", b="use", modes=("thread",))
    lines = list(report.list_lines())
    assert [line.split(" | ")[:5] for line in lines] == [line.split(" | ")[:5] for line in sorted(lines)]
    assert "memory | new | use | use | thread | an outcome of no order | first at" in lines[0]
    assert all("toy_table.py" in line for line in lines)
    assert sum(report.count_kinds().values()) == sum(report.counts.values())
    assert len(report.count_kinds()) == len(lines)


def test_a_sample_is_the_same_each_time(explore_toy):
    first, second = (explore_toy(BROKEN["lists after it is found"][0], sample=5) for _ in range(2))
    assert list(first.list_lines()) == list(second.list_lines())
    assert first.interleavings == second.interleavings
