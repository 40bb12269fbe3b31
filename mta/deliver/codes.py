"""Exim's numbers for what is no error of the system, as logs and retry records show them."""

from __future__ import annotations

UNKNOWN = -1
EXPAND_FAIL = -27
NO_USER = -29
BAD_TRANSPORT = -30
TLS_FAILURE = -37

# "Not now": routing, local delivery, all hosts.
ROUTING_RETRY = -52
LOCAL_RETRY = -53
HOST_RETRY = -54
LOCAL_ONLY = -55

RETRY_BASE = -51  # below it nothing was tried
