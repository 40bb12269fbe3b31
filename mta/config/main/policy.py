"""The access control lists that decide what is taken."""

from __future__ import annotations

from mta.config import kinds
from mta.config.option import Configured, Option


class Policy(Configured):
    """The access control lists that decide what is taken."""

    acl_smtp_connect = Option(kinds.expanded, "", "Run when a client has connected.")
    acl_smtp_helo = Option(kinds.expanded, "", "Run for HELO and EHLO.")
    acl_smtp_mail = Option(kinds.expanded, "", "Run for MAIL.")
    acl_smtp_auth = Option(kinds.expanded, "", "Run for AUTH.")
    acl_smtp_mailauth = Option(
        kinds.expanded, "", "Run for AUTH= of MAIL, before it is believed."
    )
    acl_smtp_rcpt = Option(
        kinds.expanded, "", "Run for each RCPT; without one nothing is taken."
    )
    acl_smtp_predata = Option(kinds.expanded, "", "Run for DATA, before the message.")
    acl_smtp_data = Option(kinds.expanded, "", "Run when the message has come.")
    acl_not_smtp = Option(kinds.expanded, "", "Run for a message from a local program.")
