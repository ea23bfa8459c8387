"""The children of one metric in this process: their interfaces, the table that holds them, and what they accept."""
