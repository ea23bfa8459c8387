"""The children of one metric in this process.

- `interfaces`: what a program can do to a child of each kind (``CounterChild`` …); storages and metrics implement it.
- `table`: the child table, which finds a child by its label values; its rules say what signal handlers may call.
- `expiry`: the time to live of children.
- `amounts`, `exemplars`, `facts`: what the children accept, and the errors that they raise for anything else.

The numbers themselves are in the children of each storage: in memory `asyncmetrics.storage.memory.plain`, where
``MemoryHistogram.observe`` chooses the bucket of an observation.
"""
