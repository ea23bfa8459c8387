"""Shared storage: each worker writes its own files and reads those of all workers.

*What happens to a counter when its worker is killed?* Of the series that are attached, nothing is lost but, at most,
the increment in flight. A series that has no cells (`attachment`) ends with its process.

1. Before, the worker owns a *slot*: two files that it alone writes to, and a lock on them. An *arena* is the content
   of a slot: its cells and its log. The worker stores each increment in the cells at once. Their file is mapped into
   memory, so nothing is left to write when the process ends.
2. The worker is killed. The kernel drops the lock; the files stay. A scrape of any other worker still reads the slot
   and adds its counts to those of the live workers, so the sum does not decrease. Gauges of the modes ``live…`` vanish.
3. The next worker that starts takes the lowest slot without an owner. It adopts the counts: a child that it makes with
   the same labels continues from them. So there are never more files than workers that ran at the same time. Gauges,
   infos and state sets of the dead worker are removed then, in every mode.

The modules, from the metric to the files:

=================== ==================================================================================================
`storage`           `SharedStorage`: opens child tables, collects what only other workers have
`table`             one metric's children in this process: attach, remove, expire, read
`children`          the counters, gauges, … that write every change through to cells
`attachment`        the states of a child: detached, attached, forked
`worker`            this process's slot, and the queue of structural work
`step_reader`       reading the slots in short steps, which threads take in turn
`dead_slots`        removing series from slots without an owner
`keeper`            the thread that calls gauge functions and expires series once a second
`self_metrics`      the metrics about workers and slots
`supervisors`       which server's worker this process is, if any
`discovery`         the directory that the workers of a server share by default
`weak_list`         a list of weak references that other threads may change
`pages`             long lists that grow and are freed a page at a time
`files`             what is in the files, who owns them, how they are written and read
`scrape`            one family merged over all slots
=================== ==================================================================================================
"""
