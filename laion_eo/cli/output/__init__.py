"""What commands show at a terminal: tables, progress, summaries."""
