"""The router drivers, one to a file; `driver = NAME` imports the file of that name."""
