"""How names are looked up."""

from __future__ import annotations

from mta.config import kinds
from mta.config.option import Configured, Option

# What a name may be made of; as strict as Exim's own default.
USUAL_NAMES = r"(?i)^(?:[a-z0-9_](?:[a-z0-9/_-]*[a-z0-9_])?(?:\.(?!$)|(?=\.?$)))+\.?$"


class Dns(Configured):
    """How names are looked up."""

    dns_retrans = Option(
        kinds.time, "0s", "How long one try at one server may take; 0 is five seconds."
    )
    dns_retry = Option(kinds.integer, "0", "How often each server is tried; 0 is twice.")
    dns_use_edns0 = Option(
        kinds.integer, "-1", "Whether larger answers by UDP are offered (EDNS0); -1 is yes."
    )
    dns_dnssec_ok = Option(
        kinds.integer, "-1", "Whether signatures are asked for (DNSSEC); -1 is no."
    )
    dns_check_names_pattern = Option(
        kinds.string,
        USUAL_NAMES,
        "What a name must match to be looked up at all; empty for anything.",
    )
    dns_again_means_nonexist = Option(
        kinds.domain_list, "", "Names that do not exist if nobody answers for them."
    )
    dns_ipv4_lookup = Option(
        kinds.domain_list, "", "Hosts of which only IPv4 addresses are looked up."
    )
    host_lookup_order = Option(
        kinds.string,
        "bydns:byaddr",
        "Where names of clients are looked up: bydns is the DNS, byaddr the hosts file first.",
    )
    allow_mx_to_ip = Option(
        kinds.boolean, "false", "Let an MX record hold an address, which none should."
    )
    hosts_treat_as_local = Option(
        kinds.domain_list, "", "Names of other hosts that are taken for this one."
    )
