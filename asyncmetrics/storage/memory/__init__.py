"""The storage in the memory of this process, and its children.

- `storage`: `MemoryStorage`, which chooses the children.
- `plain`: the children for an interpreter with a GIL. ``MemoryHistogram.observe`` chooses the bucket of an observation.
- `locked`: the same children, with locks, for an interpreter without a GIL.
"""
