"""The route template of a request, found in what the router wrote into its scope."""
