"""The options that Exim does not have: our own users, and how long our processes live."""

from __future__ import annotations

from mta.config import kinds
from mta.config.option import Configured, Option


class Own(Configured):
    """The options that Exim does not have: our own users, and how long our processes live."""

    mail_user = Option(
        kinds.string,
        "mta",
        "The user that owns the spool and runs queue and deliveries, when started by root.",
    )
    network_user = Option(
        kinds.string,
        "mtanet",
        "The user that talks to other hosts, in and out, when started by root.",
    )
    receiver_max_use = Option(
        kinds.integer,
        "1000",
        "How many connections a receiver serves before it makes room for a fresh one; "
        "0 for a process of its own for each connection.",
    )
    deliver_max_use = Option(
        kinds.integer,
        "1000",
        "How many messages a delivery process handles before it leaves; "
        "0 for a process of its own for each message.",
    )
    deliver_max_parallel = Option(
        kinds.integer, "20", "The most messages that are delivered at a time."
    )
    worker_max_use = Option(
        kinds.integer,
        "1000",
        "How many parcels a process that runs transports carries before it leaves; "
        "0 for a process of its own for each parcel.",
    )
    dsn_details = Option(
        kinds.boolean,
        "false",
        "Put into delivery status notifications what Exim leaves out: when the message came, "
        "when it was tried last, and the status codes of other servers.",
    )
    auth_max_failures = Option(
        kinds.integer,
        "5",
        "How many AUTH commands of one connection may fail before it is dropped; 0 for any "
        "number.",
    )
    auth_failure_delay = Option(
        kinds.time, "1s", "How long a client waits for the answer to a wrong password."
    )
    dns_servers = Option(
        kinds.string_list,
        "",
        "The name servers to ask, as in <; 192.0.2.53 ; [127.0.0.1]:5353; unset, those of "
        "/etc/resolv.conf.",
    )
