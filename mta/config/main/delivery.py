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
    timeout_frozen_after = Option(
        kinds.time, "0s", "After how long a frozen message is given up; 0 for never."
    )
    auto_thaw = Option(
        kinds.time, "0s", "After how long a frozen message is tried again; 0 for never."
    )
