"""The mechanisms: one driver each, found by file name."""
