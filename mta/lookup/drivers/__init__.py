"""The kinds of tables, one in each file, named as the file."""
