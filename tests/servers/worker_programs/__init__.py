"""Programs that create their metrics, and then start a server with several workers."""
