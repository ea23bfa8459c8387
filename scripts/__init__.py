"""Programs for maintainers: run one with ``python -m scripts.<name>`` from the root of the repository.

`charts` and `compatibility` make parts of the documentation; `hostile` and `reentrancy` measure claims of robustness.
`databases` runs real servers for tests, benchmarks and examples.
"""
