"""Operators ${name:…}, by family; every module here is loaded."""
