"""The children of one metric in this process.

A *child* is a series as an object of this process; a *series* is the same in the files and in an exposition.

- `interfaces`: what a program can do to a child of each kind (``CounterChild`` …); storages and metrics implement it.
- `table`: the child table, which finds a child by its label values.
- `listing`: the children in the order of their creation, for readings.
- `expiry`: the time to live of children.
- `exemplar_turns`: when a child asks for an exemplar.
- `amounts`, `exemplars`, `facts`: what the children accept, and the errors that they raise for anything else.

The numbers themselves are in the children of each storage: `asyncmetrics.storage.memory.plain` in memory,
`asyncmetrics.storage.shared.children` in shared storage.
"""
