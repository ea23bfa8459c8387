"""Shared storage: each worker writes its own files and reads those of all workers.

*Rules for a program.* Declare, count, remove and read anywhere: in a signal handler, a finaliser, a callback of the
garbage collector, before and after a fork. Nothing waits for a lock that the interrupted code holds. A handler may
raise anything: the exception reaches the program, and what it interrupted is done later. (Python drops an exception
that a handler raises while it interrupts a finaliser.)

*Theory of operation.* The life of one series, step by step, with the module that does each:

1. *Made* (`table`). ``labels()`` makes a child, which holds its numbers. No other worker knows of it yet.
2. *Queued* (`worker`). The table queues the work of attaching it. A thread that finds nobody at work does all that is
   queued; others leave their work to it and go on. So one thread at a time writes to the files of this process.
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

1. *An exception of a signal handler* ends the work, and so the right to do it (`turns`). The files are then as after a
   kill. The work stays queued and is begun again. If the tables in memory do not agree with the files, this worker
   reads its own log first, as a worker does that takes over a slot. A child that still waits for cells asks for them at
   its next change. Work that was interrupted ten times is dropped, logged and counted: if it was a removal, the series
   stays.
2. *kill -9* loses the change in flight in each thread, and what is in no cells: children without room or still queued,
   and exemplars whose labels fit no cells. A mapped file needs no writing at the end. The kernel drops the lock on the
   slot; its counts stay in every sum. Its infos, states and gauges of the modes ``live...`` vanish.
3. *A new worker* takes the lowest slot without an owner, and its counts: a child with the same labels continues from
   them. So there are never more slots than processes that shared at once. Gauges, infos and states of the dead one are
   removed, and so are counts under another definition.
4. *A fork* leaves the slot to the parent. In the forked process all counts start from zero, and the first change of a
   child attaches it to cells in a slot of its own.
5. *Files are lost.* A descriptor that the application has closed is opened again. If files were removed or cut off, the
   next scrape or chore of this process makes new ones, with the numbers of its children. A write to cells that were
   cut off ends the process (SIGBUS); nothing can prevent that.
6. *There is no room.* The child is detached: it counts, and no scrape exposes it.
7. *A time to live ends.* Readings leave the series out. Its counts are removed once no worker has changed it.
8. *Workers have different definitions* of a family. The newest one is exposed (`scrape`, the module ``newest``).
9. *A process begins to share* when it has metrics already: `asyncmetrics.storage.decision` says when and how.

*Limits.* A reading, `remove` and `clear` may wait while another thread takes a step of a reading. Handlers that raise
faster than the log can be read put off the work until they pause; numbers stay in the children meanwhile. If the
program keeps thousands of tracebacks of interrupted calls, a step of a reading takes longer (2,000: 44 ms). If a
handler makes a series while it interrupts work on another one, scrapes have it when that work is done.

The modules, from the metric to the files:

=================== ==================================================================================================
`storage`           `SharedStorage`: opens child tables, collects what only other workers have
`table`             one metric's children in this process: attach, remove, expire, read
`children`          the counters, gauges, … that write every change through to cells
`asking`            the counters and classic histograms that ask for exemplars
`native_asking`     the native histograms that do
`native`            native histograms, whose buckets are in blocks
`attachment`        the states of a child: waiting, attached, detached
`worker`            this process's slot, and the queue of structural work
`turns`             which code does structural work or a step of a reading: a lock that no exception leaves behind
`step_reader`       reading the slots in short steps, which threads take in turn
`dead_slots`        removing series from slots without an owner
`exemplar_places`   which exemplars of the children are in cells, and where
`keeper`            the thread that calls gauge functions and expires series once a second
`scrape_watch`      finding out that another worker has answered a scrape
`self_metrics`      the metrics about workers and slots
`supervisors`       which supervisor's worker this process is, if any
`discovery`         the directory that the workers of a supervisor share by default
`pages`             long lists that grow and are freed a page at a time
`files`             what is in the files, which process owns them, how they are written and read
`scrape`            one family merged over all slots
=================== ==================================================================================================
"""
