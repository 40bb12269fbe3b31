"""Conditions of ${if … }, by family; every module here is loaded."""
