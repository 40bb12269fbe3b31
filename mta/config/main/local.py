"""Local users: who is trusted, and as whom nothing is ever delivered."""

from __future__ import annotations

from mta.config import kinds
from mta.config.option import Configured, Option


class Local(Configured):
    """Local users: who is trusted, and as whom nothing is ever delivered."""

    trusted_users = Option(kinds.string_list, "", "Users that may give any sender.")
    trusted_groups = Option(kinds.string_list, "", "Groups whose members may give any sender.")
    admin_groups = Option(kinds.string_list, "", "Groups whose members may steer the queue.")
    never_users = Option(kinds.string_list, "root", "Users as whom nothing is ever delivered.")
    untrusted_set_sender = Option(kinds.address_list, "", "Senders that anybody may give.")
    local_from_check = Option(
        kinds.boolean, "true", "Add Sender: where From: is not the caller."
    )
    local_sender_retain = Option(
        kinds.boolean, "false", "Keep Sender: headers of local callers."
    )
    extract_addresses_remove_arguments = Option(
        kinds.boolean, "true", "With -t, addresses on the command line get no copy."
    )
    prod_requires_admin = Option(
        kinds.boolean, "true", "Only administrators may start deliveries and queue runs."
    )
    queue_list_requires_admin = Option(
        kinds.boolean, "true", "Only administrators see the messages of others in the queue."
    )
    commandline_checks_require_admin = Option(
        kinds.boolean, "false", "Only administrators may use -be, -bt, -bv and the like."
    )
