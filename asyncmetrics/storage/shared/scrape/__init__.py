"""One family over all workers at a scrape: follow every slot's log, number the series, read the cells, merge them.

* ``slot_readers``: the readers of all slots of a directory
* ``newest``: which definition of a family counts, if workers define it in different ways
* ``index``: the numbers of many keys, in a hash table that grows in small steps
* ``numbering``: which series a family has over all slots, and which of them each slot has
* ``parts``: which series of a part belong to which series of the metric, and their cells
* ``snapshot``: the numbers of one family at the moment of a scrape, slot by slot
* ``merge_rules``: how those become points, by kind of metric
* ``merged_family``: all of that together; read its theory of operation first

What is read, and in which order, for each family:

1. In the order of the slots: the header of ``s<k>.cells``, then what is new in ``s<k>.keys.<g>``.
2. After all logs, slot by slot: the cells of the family, then the header again. If the family has parts, what is new
   in the log, then the cells of the parts, then the header. This process reads its own cells from its mapping.
"""
