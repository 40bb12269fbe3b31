"""Receiving mail over SMTP: addresses, limits, what is offered."""

from __future__ import annotations

from mta.config import kinds
from mta.config.option import Configured, Option


class SmtpIn(Configured):
    """Receiving mail over SMTP: addresses, limits, what is offered."""

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
        "$smtp_active_hostname ESMTP Exim $version_number $tod_full",
        "The greeting after 220.",
    )
    smtp_accept_max = Option(
        kinds.integer, "20", "The most connections at a time; 0 for no limit."
    )
    smtp_accept_max_per_host = Option(
        kinds.expanded, "", "The most connections at a time from one address."
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
        kinds.expanded, "50M", "The largest message that is taken, in octets; 0 for no limit."
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
    header_maxsize = Option(kinds.size, "1M", "The largest header block of a message.")
    header_line_maxsize = Option(
        kinds.size, "0", "The longest single header; 0 for no limit of its own."
    )
    host_lookup = Option(kinds.host_list, "", "Clients whose names are looked up.")
    pipelining_advertise_hosts = Option(
        kinds.host_list, "*", "Clients that are offered PIPELINING."
    )
    accept_8bitmime = Option(kinds.boolean, "true", "Offer 8BITMIME.")
    receive_timeout = Option(
        kinds.time,
        "0s",
        "How long to wait for data of a message that comes not over SMTP; 0 for ever.",
    )
