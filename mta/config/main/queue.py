"""Where messages wait, how often they are tried, and how many at a time."""

from __future__ import annotations

from mta.config import kinds
from mta.config.option import Configured, Option


class Queue(Configured):
    """Where messages wait, how often they are tried, and how many at a time."""

    spool_directory = Option(
        kinds.string, "/var/spool/mta", "The directory that holds all mail on its way."
    )
    split_spool_directory = Option(
        kinds.boolean, "true", "Spread messages over 62 directories."
    )
    queue_only = Option(kinds.boolean, "false", "Never deliver at once on arrival.")
    queue_run_max = Option(kinds.expanded, "5", "The most queue runs at a time.")
    remote_max_parallel = Option(
        kinds.integer, "4", "The most remote deliveries of one message at a time."
    )
    queue_run_in_order = Option(
        kinds.boolean, "false", "Try messages in the order of their arrival."
    )
    retry_interval_max = Option(kinds.time, "1d", "The longest time between two tries.")
    message_logs = Option(kinds.boolean, "true", "Keep a log for each message that waits.")
    check_spool_space = Option(
        kinds.size, "10M", "Free space that must be left for a message to be taken."
    )
    check_spool_inodes = Option(
        kinds.integer, "100", "Free inodes that must be left for a message to be taken."
    )
    retry_data_expire = Option(
        kinds.time, "7d", "After how long what is known of failures is forgotten."
    )
