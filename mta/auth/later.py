"""Authenticator drivers of Exim that are known here but not acted upon yet.

Using one is refused by name, so that nobody believes that it works.
"""

from __future__ import annotations

DRIVERS = ("cyrus_sasl", "dovecot", "external", "gsasl", "heimdal_gssapi", "tls")
NEVER = {"spa": "NTLM is broken; use PLAIN or LOGIN over TLS"}
