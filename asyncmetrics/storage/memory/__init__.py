"""The storage in the memory of this process, and its children.

- `storage`: `MemoryStorage`, which chooses the children.
- `plain`: the children for an interpreter with a GIL. `asyncmetrics.metrics` says where an observation gets its bucket.
- `native`: the children of native histograms.
- `asking`, `native_asking`: the children that ask for exemplars.
- `native_buckets`: what these do besides the quick path of an observation.
- `stand_ins`: children that pass changes on, once automatic storage has moved a metric; `native_stand_ins` are those
  of native histograms, `hidden_slots` is what both use.
- `locked`: the same children, with locks, for an interpreter without a GIL.
"""
