"""Exim's numbers for what can be wrong with a mailbox, as logs and retry records show them."""

from __future__ import annotations

UNKNOWN = -1
EXISTENCE_RACE = -3
NOT_REGULAR = -4
NOT_DIRECTORY = -5
BAD_OWNER = -6
BAD_MODE = -7
INODE_CHANGED = -8
LOCK_FAILED = -9
NOT_ABSOLUTE = -21
QUOTA = -22
EXPANSION_FAILED = -27
BAD_TRANSPORT = -30
BAD_FORMAT = -33
BAD_CREATE = -34
