"""Claims of speed and size, measured beside other libraries in the same run: ``python -m benchmarks [names…]``.

There is one module for each claim. A module without an underscore is a benchmark: it has a ``RATIO``, which explains
its ratios, and a ``run(effort)``, which yields rows. New modules are found automatically. A library that is not
installed, or that fails, is shown with the reason. Timings never decide the exit status, because machines differ.

*Words.* A *discipline* is one operation that is measured, such as ``inc()``. A *contender* is a library, or a baseline
such as the bare application; a *peer* is a contender other than asyncmetrics. A *round* measures every contender once.
"""
