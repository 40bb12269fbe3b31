"""The modifiers: what an ACL says, logs, sets, adds and waits for."""
