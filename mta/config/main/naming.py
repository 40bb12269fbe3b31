"""What this host calls itself, and the domains that are added to bare names."""

from __future__ import annotations

from mta.config import kinds
from mta.config.option import Configured, Option


class Naming(Configured):
    """What this host calls itself, and the domains that are added to bare names."""

    primary_hostname = Option(
        kinds.string, "", "The canonical name of this host; taken from the system when unset."
    )
    qualify_domain = Option(
        kinds.string,
        "",
        "The domain added to senders without one; unset means primary_hostname.",
    )
    qualify_recipient = Option(
        kinds.string,
        "",
        "The domain added to recipients without one; unset means qualify_domain.",
    )
