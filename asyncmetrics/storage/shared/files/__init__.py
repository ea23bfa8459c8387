"""The files of shared storage: what is in them, which process owns them, how they are written and read.

What is in the files:

* ``layout``: the header, the cells of a series, and the names that the other modules use for them
* ``definition``: how a log describes a family
* ``keys``: label values as bytes and as one text
* ``records``: the records of the log

Which process owns them:

* ``open_file``: an open file, which knows whether its descriptor still is its own
* ``directory``: the directory and its files, opened safely
* ``slots``: taking a slot, and asking whether its owner lives

How this process writes its own files:

* ``cells``: the mapped file of cells
* ``exemplar_cells``: an exemplar as cells, which readers use too
* ``log_writer``: appending to the log and rewriting it
* ``arena_family``: one family in the arena
* ``blocks``: the cells of a native histogram's buckets
* ``arena``: all of that together; read its theory of operation first

How any process reads the files of all:

* ``slot_family``: one family in one slot
* ``log``: the log, followed step by step
* ``slot_reader``: one slot
"""
