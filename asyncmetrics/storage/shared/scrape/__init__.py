"""One family over all workers at a scrape: read every slot, number the series, merge the numbers."""
