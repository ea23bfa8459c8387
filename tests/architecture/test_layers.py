"""The layer table: an import points downwards or stays inside its own package, type-only imports included."""

from __future__ import annotations

import graphlib

import pytest

# What the readers of families may import: lint, dashboards, testing, cli.
_READERS_BELOW = {
    "bridges",
    "exposition",
    "pacing",
    "formats",
    "metrics",
    "registry",
    "loops",
    "model",
    "errors",
    "typing",
}

# Which layer may import which. The roof (`__init__`) may import all but the optional integrations; nothing imports it.
LAYERS: dict[str, set[str]] = {
    "version": set(),
    "errors": set(),
    "typing": set(),
    "interruptions": set(),
    "model": {"errors"},
    "pacing": {"errors", "typing"},
    "patching": {"interruptions", "errors", "typing"},
    "entries": set(),
    "wrapping": {"interruptions"},
    "context": {"entries", "wrapping", "model", "errors"},
    "timing": {"entries", "wrapping", "typing", "errors"},
    "loops": {"interruptions", "errors"},
    "threads": set(),
    "asking": {"interruptions", "loops", "errors"},
    "children": {"asking", "loops", "timing", "typing", "interruptions", "model", "errors"},
    "storage": {"asking", "threads", "loops", "children", "interruptions", "model", "errors"},
    "formats": {"interruptions", "model", "errors"},
    "registry": {"asking", "loops", "storage", "children", "interruptions", "model", "errors"},
    "metrics": {
        "asking",
        "loops",
        "interruptions",
        "registry",
        "storage",
        "children",
        "context",
        "timing",
        "wrapping",
        "model",
        "errors",
        "typing",
    },
    "core": {"metrics", "registry", "model"},
    "collectors": {"interruptions", "metrics", "registry", "model"},
    "exposition": {
        "asking",
        "threads",
        "loops",
        "interruptions",
        "pacing",
        "formats",
        "registry",
        "model",
        "errors",
        "typing",
    },
    # A pusher gathers the families as a scrape does, a server of StatsD declares metrics, and the meters of
    # OpenTelemetry have tables of their own.
    "bridges": {
        "exposition",
        "metrics",
        "storage",  # the lead among workers, and the number of this program on its host
        "children",
        "context",
        "asking",
        "threads",
        "loops",
        "interruptions",
        "pacing",
        "formats",
        "registry",
        "model",
        "errors",
        "typing",
        "version",
    },
    "middleware": {
        "interruptions",
        "metrics",
        "registry",
        "storage",
        "children",
        "context",
        "timing",
        "model",
        "errors",
        "typing",
    },
    "runtime": {
        "asking",
        "children",
        "threads",
        "loops",
        "collectors",
        "middleware",
        "patching",
        "pacing",
        "wrapping",
        "interruptions",
        "metrics",
        "registry",
        "context",
        "timing",
        "model",
        "errors",
        "typing",
    },
    "jobs": {
        "asking",
        "threads",
        "loops",
        "bridges",
        "exposition",
        "pacing",
        "wrapping",
        "interruptions",
        "metrics",
        "registry",
        "context",
        "timing",
        "model",
        "errors",
        "typing",
    },
    "integrations": {
        "runtime",
        "middleware",
        "patching",
        "wrapping",
        "model",
        "interruptions",
        "exposition",
        "bridges",
        "metrics",
        "registry",
        "context",
        "timing",
        "typing",
        "errors",
    },
    "lint": _READERS_BELOW,
    "dashboards": _READERS_BELOW | {"lint"},
    "testing": _READERS_BELOW | {"lint", "dashboards", "storage", "children"},
    "cli": _READERS_BELOW | {"lint", "dashboards", "testing", "version"},
    "prometheus_client": {
        "core",
        "bridges",
        "exposition",
        "collectors",
        "formats",
        "metrics",
        "registry",
        "storage",
        "children",
        "timing",
        "loops",
        "model",
        "errors",
    },
}
ROOFS = {"__init__"}
PROGRAM = "__main__"


def test_the_table_itself_has_an_order():
    graphlib.TopologicalSorter(LAYERS).prepare()


def test_every_module_belongs_to_a_layer(modules):
    assert {module.layer for module in modules.values()} - LAYERS.keys() - ROOFS - {PROGRAM} == set()


def test_imports_point_downwards(modules, graph):
    wrong = [
        f"{name} → {target}"
        for name, targets in graph.items()
        for target in targets
        if (layer := modules[name].layer) in LAYERS
        and target in modules
        and modules[target].layer not in LAYERS[layer] | {layer}
    ]
    assert wrong == []


def test_nothing_imports_the_roof(modules, graph):
    assert [name for name, targets in graph.items() if "asyncmetrics" in targets] == []


def test_every_import_of_the_package_is_a_module_of_it(modules, graph):
    assert {target for targets in graph.values() for target in targets} - modules.keys() == set()


def test_there_is_no_import_circle(graph):
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_a_forbidden_arrow_would_be_seen(modules, graph, monkeypatch):
    """The test that a test can fail: with an empty table, arrows are reported."""
    monkeypatch.setitem(LAYERS, "metrics", set())
    with pytest.raises(AssertionError):
        test_imports_point_downwards(modules, graph)
