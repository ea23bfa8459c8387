"""Shared storage: each worker writes its own files and reads those of all workers.

*Rules for a program.* Declare, count, remove and read anywhere: in a signal handler, a finaliser, a callback of the
garbage collector, before and after a fork. Nothing waits for a lock that the interrupted code holds. An exception that
a signal handler raises reaches the program, and what it interrupts is done later. (Python itself delivers none that
interrupts a finaliser.)

*Theory of operation.* The life of one series, step by step, with the module that does each:

1. *Made* (`table`). ``labels()`` makes a child, which holds its numbers. No other worker knows of it yet.
2. *Queued* (`worker`). The table queues the work of attaching it. A thread that finds no turn taken takes it and does
   all that is queued; no thread waits for another. So one thread at a time writes to the files of this process.
3. *Reserved* (`files.arena`). The work reserves cells in the mapped file of this worker's slot, and copies the child's
   numbers to them. Readers do not know of these cells.
4. *Published* (`files.log_writer`). The work appends a record with the label values to the slot's log, and stores one
   word of the header, which makes the record visible. Only the owner of a slot writes to its log.
5. *Attached* (`attachment`). The child stores each change of its numbers in the cells as well, without a system call.
6. *Read* (`scrape`). A scrape of any worker reads the logs and cells of all slots, in steps of less than a millisecond,
   and merges them.
7. *Removed* (`table`). The table forgets the child; the work detaches it and sets its cells to zero. The log is
   rewritten once most of its records are useless.

What may come in between:

- *An exception of a signal handler* ends the turn, wherever it is. The files are then what a killed process leaves. The
  work stays queued, and the next turn repeats it. If the tables in memory do not agree with the files, the next turn
  reads the log first, as an adopter does. A child that has no cells asks for them at its next change.
- *kill -9* loses the increment in flight, and nothing else: a mapped file needs no writing at the end. The kernel drops
  the lock on the slot. Its counts stay in every sum; gauges of the modes ``live...`` vanish.
- *A new worker* takes the lowest slot without an owner, and its counts: a child with the same labels continues from
  them. So there are never more files than workers that ran at once. Gauges, infos and states of the dead one are
  removed.
- *A fork* leaves the slot to the parent. In the forked process all counts start from zero, and the first change of a
  child attaches it to cells in a slot of its own.

*Limits.* A series without cells, for lack of room, ends with its process. Handlers that raise faster than the log can
be read put off the work until they pause: numbers stay in the children meanwhile. A traceback that the program keeps
also keeps the changes of child tables that it interrupted: a reading takes their segments in one step (2,000 of them:
44 ms). A series that a handler makes while it interrupts structural work is exposed once that work is done.

The modules, from the metric to the files:

=================== ==================================================================================================
`storage`           `SharedStorage`: opens child tables, collects what only other workers have
`table`             one metric's children in this process: attach, remove, expire, read
`children`          the counters, gauges, … that write every change through to cells
`attachment`        the states of a child: waiting, attached, detached
`worker`            this process's slot, and the queue of structural work
`turns`             which code does structural work or a step of a reading: a lock that no exception leaves behind
`step_reader`       reading the slots in short steps, which threads take in turn
`dead_slots`        removing series from slots without an owner
`keeper`            the thread that calls gauge functions and expires series once a second
`self_metrics`      the metrics about workers and slots
`supervisors`       which supervisor's worker this process is, if any
`discovery`         the directory that the workers of a supervisor share by default
`pages`             long lists that grow and are freed a page at a time
`files`             what is in the files, which process owns them, how they are written and read
`scrape`            one family merged over all slots
=================== ==================================================================================================
"""
