"""Where the numbers live: the storage protocol, its children, and the storage in this process's memory."""
