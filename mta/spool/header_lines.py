"""Which facts about a message have a line of their own in -H, in what form and order.

To keep one more fact: a field in `envelope`, and a row here.
"""

from __future__ import annotations

# How the value of a line is written.
TEXT = "text"  # one or two dashes, by trust
STRANGERS = "strangers"  # a stranger's text that Exim writes with one dash all the same
ADDRESS = "address"  # [ip]:port, in the fields X_address and X_port
FLAG = "flag"  # no value; there or not
NUMBER = "number"  # absent when 0
COUNT = "count"  # always there
ACL = "acl"

# In the order in which Exim writes them: kind, name of the line, name of the field.
LINES: tuple[tuple[str, str, str], ...] = (
    (TEXT, "helo_name", "helo_name"),
    (ADDRESS, "host_address", "host"),
    (TEXT, "host_name", "host_name"),
    (TEXT, "host_auth", "host_auth"),
    (TEXT, "host_auth_pubname", "host_auth_pubname"),
    (ADDRESS, "interface_address", "interface"),
    (TEXT, "active_hostname", "active_hostname"),
    (TEXT, "ident", "ident"),
    (TEXT, "received_protocol", "received_protocol"),
    (ACL, "aclc", "acl_c"),
    (ACL, "aclm", "acl_m"),
    (FLAG, "spool_file_wireformat", "spool_file_wireformat"),
    (COUNT, "body_linecount", "body_linecount"),
    (COUNT, "max_received_linelength", "max_received_linelength"),
    (NUMBER, "body_zerocount", "body_zerocount"),
    (TEXT, "auth_id", "auth_id"),
    (TEXT, "auth_sender", "auth_sender"),
    (FLAG, "allow_unqualified_recipient", "allow_unqualified_recipient"),
    (FLAG, "allow_unqualified_sender", "allow_unqualified_sender"),
    (FLAG, "deliver_firsttime", "deliver_firsttime"),
    (NUMBER, "frozen", "frozen_at"),
    (FLAG, "N", "dont_deliver"),
    (FLAG, "host_lookup_deferred", "host_lookup_deferred"),
    (FLAG, "host_lookup_failed", "host_lookup_failed"),
    (FLAG, "local", "local"),
    (FLAG, "localerror", "local_error"),
    (TEXT, "local_scan", "local_scan"),
    (TEXT, "spam_bar", "spam_bar"),
    (TEXT, "spam_score", "spam_score"),
    (TEXT, "spam_score_int", "spam_score_int"),
    (FLAG, "manual_thaw", "manual_thaw"),
    (FLAG, "sender_set_untrusted", "sender_set_untrusted"),
    (FLAG, "tls_certificate_verified", "tls_certificate_verified"),
    (TEXT, "tls_cipher", "tls_cipher"),
    (TEXT, "tls_peercert", "tls_peercert"),
    (TEXT, "tls_peerdn", "tls_peerdn"),
    (TEXT, "tls_sni", "tls_sni"),
    (TEXT, "tls_ourcert", "tls_ourcert"),
    (NUMBER, "tls_ocsp", "tls_ocsp"),
    (STRANGERS, "tls_resumption", "tls_resumption"),
    (TEXT, "tls_ver", "tls_ver"),
    (FLAG, "smtputf8", "smtputf8"),
    (FLAG, "utf8_downcvt", "utf8_downcvt"),
    (FLAG, "utf8_optdowncvt", "utf8_optdowncvt"),
    (STRANGERS, "dsn_envid", "dsn_envid"),
    (NUMBER, "dsn_ret", "dsn_ret"),
)
