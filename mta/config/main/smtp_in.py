"""Receiving mail over SMTP: addresses, limits, what is offered."""

from __future__ import annotations

from mta.config import kinds
from mta.config.option import Configured, Option


class SmtpIn(Configured):
    """Receiving mail over SMTP: addresses, limits, what is offered."""

    extra_local_interfaces = Option(
        kinds.string_list, "", "Addresses that are this host's though no interface has them."
    )
    local_interfaces = Option(
        kinds.string_list,
        "<; 0.0.0.0 ; ::0",
        "The addresses to listen on, each with an optional port.",
    )
    daemon_smtp_ports = Option(
        kinds.string, "smtp", "The ports to listen on, by number or name."
    )
    smtp_banner = Option(
        kinds.expanded,
        "$smtp_active_hostname ESMTP mta $version_number $tod_full",
        "The greeting after 220.",
    )
    smtp_accept_max = Option(
        kinds.integer, "20", "The most connections at a time; 0 for no limit."
    )
    smtp_accept_max_per_host = Option(
        kinds.expanded_integer, "", "The most connections at a time from one address."
    )
    smtp_accept_max_per_connection = Option(
        kinds.integer, "1000", "The most messages in one connection."
    )
    smtp_connect_backlog = Option(
        kinds.integer, "20", "How many connections the kernel keeps waiting."
    )
    smtp_receive_timeout = Option(
        kinds.time, "5m", "How long to wait for a command or for data."
    )
    smtp_enforce_sync = Option(
        kinds.boolean, "true", "Refuse a client that talks before it may."
    )
    smtp_max_synprot_errors = Option(
        kinds.integer, "3", "Syntax and protocol errors before the connection is dropped."
    )
    smtp_max_unknown_commands = Option(
        kinds.integer, "3", "Unknown commands before the connection is dropped."
    )
    smtp_accept_max_nonmail = Option(
        kinds.integer,
        "10",
        "Commands that do not deliver mail before the connection is dropped.",
    )
    message_size_limit = Option(
        kinds.expanded_integer,
        "50M",
        "The largest message that is taken, in octets; 0 for no limit.",
    )
    recipients_max = Option(
        kinds.integer, "50000", "The most recipients of one message; 0 for no limit."
    )
    recipients_max_reject = Option(
        kinds.boolean, "false", "Refuse the whole message when there are too many."
    )
    received_headers_max = Option(
        kinds.integer, "30", "Received: headers from which a message is taken to loop."
    )
    header_maxsize = Option(kinds.integer, "1M", "The largest header block of a message.")
    header_line_maxsize = Option(
        kinds.integer, "0", "The longest single header; 0 for no limit of its own."
    )
    host_lookup = Option(kinds.host_list, "", "Clients whose names are looked up.")
    pipelining_advertise_hosts = Option(
        kinds.host_list, "*", "Clients that are offered PIPELINING."
    )
    auth_advertise_hosts = Option(
        kinds.host_list, "*", "Clients that are offered AUTH, if there are authenticators."
    )
    accept_8bitmime = Option(kinds.boolean, "true", "Offer 8BITMIME.")
    dsn_advertise_hosts = Option(
        kinds.host_list, "", "Clients that are offered DSN, delivery status notifications."
    )
    receive_timeout = Option(
        kinds.time,
        "0s",
        "How long to wait for data of a message that comes not over SMTP; 0 for ever.",
    )
    smtp_active_hostname = Option(
        kinds.expanded,
        "",
        "The name this server gives itself in a conversation; unset means primary_hostname.",
    )
    smtp_accept_max_nonmail_hosts = Option(
        kinds.host_list, "*", "Clients to which smtp_accept_max_nonmail applies."
    )
    smtp_accept_queue_per_connection = Option(
        kinds.integer,
        "10",
        "Messages in one connection after which the next are only queued; 0 for no limit.",
    )
    smtp_check_spool_space = Option(
        kinds.boolean, "true", "Check the room in the spool for the SIZE that MAIL tells."
    )
    smtp_return_error_details = Option(
        kinds.boolean, "false", "Tell the client the details of a failed verification."
    )
    sender_unqualified_hosts = Option(
        kinds.host_list, "", "Clients that may send addresses without a domain as senders."
    )
    recipient_unqualified_hosts = Option(
        kinds.host_list, "", "Clients that may send addresses without a domain as recipients."
    )
    allow_domain_literals = Option(
        kinds.boolean, "false", "Take addresses such as user@[192.0.2.1]."
    )
    helo_accept_junk_hosts = Option(
        kinds.host_list, "", "Clients whose EHLO may have any argument."
    )
    helo_allow_chars = Option(
        kinds.string, "", "Characters that the argument of EHLO may have beside the usual."
    )
    helo_lookup_domains = Option(
        kinds.domain_list,
        "@ : @[]",
        "Names in EHLO that make the client's own name be looked up, for the log.",
    )
    helo_try_verify_hosts = Option(
        kinds.host_list, "", "Clients whose EHLO is verified, for verify = helo in an ACL."
    )
    helo_verify_hosts = Option(
        kinds.host_list, "", "Clients whose EHLO must name them, by address or by name."
    )
    host_reject_connection = Option(
        kinds.host_list, "", "Clients that are refused before anything else."
    )
    hosts_require_helo = Option(
        kinds.host_list, "*", "Clients that must say EHLO or HELO before MAIL."
    )
