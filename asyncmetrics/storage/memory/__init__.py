"""The storage in this process's memory, and its children: plain ones under the GIL, locked ones without it."""
