"""Delivering and bouncing."""

from __future__ import annotations

from mta.config import kinds
from mta.config.option import Configured, Option


class Delivery(Configured):
    """Delivering and bouncing."""

    bounce_return_body = Option(
        kinds.boolean, "true", "Return the body of a message with its bounce."
    )
    bounce_return_message = Option(
        kinds.boolean, "true", "Return the message with its bounce."
    )
    bounce_return_size_limit = Option(kinds.size, "100K", "How much of a message is returned.")
    bounce_return_linesize_limit = Option(
        kinds.integer,
        "998",
        "A message with a longer line is returned as its headers; 0 for no limit.",
    )
    dsn_from = Option(
        kinds.expanded,
        "Mail Delivery System <Mailer-Daemon@$qualify_domain>",
        "The From: of bounces.",
    )
    ignore_bounce_errors_after = Option(
        kinds.time, "10w", "After how long a bounce that cannot be delivered is dropped."
    )
    bounce_message_file = Option(
        kinds.expanded, "", "A file with the texts of bounces, lines of **** between them."
    )
    bounce_message_text = Option(
        kinds.string, "", "Stands in bounces behind the first line; not expanded."
    )
    bounce_sender_authentication = Option(
        kinds.string, "", "The address for AUTH= where bounces are sent on."
    )
    warn_message_file = Option(
        kinds.expanded, "", "A file with the texts of warnings, lines of **** between them."
    )
    delay_warning = Option(
        kinds.times,
        "24h",
        "After how long senders are told that a message waits, as in 4h:1d; after the last "
        "time again each time the last gap has passed. Unset, or 0s, for never.",
    )
    delay_warning_condition = Option(
        kinds.expanded,
        "${if or {{ !eq{$h_list-id:$h_list-post:$h_list-subscribe:}{} }"
        "{ match{$h_precedence:}{(?i)bulk|list|junk} }"
        "{ match{$h_auto-submitted:}{(?i)auto-generated|auto-replied} }} {no}{yes}}",
        "Warnings are sent if this expands to a true value.",
    )
    errors_copy = Option(
        kinds.string_list,
        "",
        "Who gets copies of bounces: items of a pattern for the address of the bounce and, "
        "after a blank, addresses with commas between.",
    )
    errors_reply_to = Option(kinds.string, "", "The Reply-To: of bounces and warnings.")
    freeze_tell = Option(
        kinds.string, "", "Who is told of frozen messages: addresses with commas between."
    )
    timeout_frozen_after = Option(
        kinds.time, "0s", "After how long a frozen message is given up; 0 for never."
    )
    auto_thaw = Option(
        kinds.time, "0s", "After how long a frozen message is tried again; 0 for never."
    )
