"""The controls: what an ACL switches on or off for a connection or a message."""
