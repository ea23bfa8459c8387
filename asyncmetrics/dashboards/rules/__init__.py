"""Rules and alerts of Prometheus, from the metrics that a source declares.

- `rule`: a rule and a group of them; the names in an expression.
- `layout`: groups as YAML.
- `http`, `clients`, `runtime`, `jobs`, `exchange`, `process`: the rules for the metrics of the library, by subject.
- `table`: all of them, and the files of docs/rules.
- `declared`: the metrics of a source: their labels and the bounds of their buckets.
- `matching`: the rules of the table that apply to a source, with its namespace and its names of labels.
- `objectives`: what ``--slo`` says. `measures`: how the failures of each objective are counted.
- `slo_rules`: the rules of an objective. `slo_tests`: what ``promtool test rules`` tries them with.

To add an alert, add it to the file of its subject, a test of it to tests/docs/alerts.yml, and its heading to
docs/rules.md; then run ``python -m scripts.rules``, which writes docs/rules.
"""
