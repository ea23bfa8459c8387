"""The interleaving explorer: every pair of operations on metrics, interrupted at every opcode.

`engine` says how one interleaving goes, `stops` where an operation is stopped, `worlds` what a reading must show,
`model` which outcomes are allowed, `checks` what must be true at the end, `cases` which pairs there are.

    python -m tests.concurrency.explorer --storage memory --only use,remake --sample 5
"""
