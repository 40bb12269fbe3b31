"""The conditions that ACLs can test."""
