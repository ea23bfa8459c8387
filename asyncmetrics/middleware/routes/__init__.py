"""The route template of a request, read from the values that the router writes into its scope."""
