"""The files of shared storage: what is in them, who owns them, how they are written and read."""
