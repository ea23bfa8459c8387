"""Our claims of speed and size, each measured beside the peers in the same run: ``python -m benchmarks [names…]``.

One module for each claim. A module without an underscore has a ``RATIO``, which says what its ratios mean, and a
``run(effort)``, which yields rows; a new module of that kind is found by itself. Peers that are not installed, or
that fail, are shown as such. Timings never decide the exit status: machines differ, and so do their neighbours.
"""
