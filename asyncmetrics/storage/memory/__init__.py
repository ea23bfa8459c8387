"""The storage in the memory of this process, and its children.

- `storage`: `MemoryStorage`, which chooses the children.
- `plain`: the children for an interpreter with a GIL. `asyncmetrics.metrics` says where an observation gets its bucket.
- `locked`: the same children, with locks, for an interpreter without a GIL.
"""
