"""Find what is wrong with the names, labels and help texts of metrics.

* `problems` reads a registry, a text or a URL, and applies the rules. `rules` has their table.
* `warn_at_declaration` applies those that need no samples where a program declares a metric.
* `cardinality` counts the series by metric and label, and `differences` compares two expositions.

To add a rule, write a function in `name_rules` or `label_rules`, add its row to `rules`, and its row to docs/lint.md.
"""

from __future__ import annotations

from asyncmetrics.lint.declaration import MetricNameWarning, warn_at_declaration
from asyncmetrics.lint.linting import problems
from asyncmetrics.lint.problem import Problem
from asyncmetrics.lint.rules import RULES, Rule
from asyncmetrics.lint.settings import read_ignored

__all__ = ("RULES", "MetricNameWarning", "Problem", "Rule", "problems", "read_ignored", "warn_at_declaration")
