"""Conditions that look for something in a list: hosts, domains, local parts, addresses."""

from __future__ import annotations

from mta.acl.phase import Phase
from mta.acl.registry import acl_condition
from mta.acl.situation import Situation
from mta.config.template import Template
from mta.mail.address import split
from mta.match.address import ADDRESSES, match_address
from mta.match.domain import DOMAINS, match_domain
from mta.match.host import HOSTS, match_host
from mta.match.localpart import LOCAL_PARTS, match_local_part


@acl_condition("hosts", Phase.SMTP, listing=HOSTS)
def hosts(situation: Situation, argument: Template) -> bool:
    """True if the client is in the host list.

    An empty item matches a message that a local program gives through -bs.
    """
    return match_host(situation.ctx, argument) is not None


@acl_condition("domains", Phase.RCPT, listing=DOMAINS)
def domains(situation: Situation, argument: Template) -> bool:
    """True if the recipient's domain is in the domain list; sets $domain_data."""
    place = situation.ctx.place
    if not place.domain:
        return False
    found = match_domain(situation.ctx, argument, place.domain)
    if found is None:
        return False
    place.domain_data = found.data
    return True


@acl_condition("local_parts", Phase.RCPT, listing=LOCAL_PARTS)
def local_parts(situation: Situation, argument: Template) -> bool:
    """True if the recipient's local part is in the list; sets $local_part_data."""
    place = situation.ctx.place
    if not situation.recipient:
        return False
    caseful = situation.message.caseful_local_part
    found = match_local_part(situation.ctx, argument, place.local_part, caseful=caseful)
    if found is None:
        return False
    place.local_part_data = found.data
    return True


@acl_condition("recipients", Phase.RCPT, listing=ADDRESSES)
def recipients(situation: Situation, argument: Template) -> bool:
    """True if the recipient is in the address list."""
    if not situation.recipient:
        return False
    return match_address(situation.ctx, argument, situation.recipient) is not None


@acl_condition("senders", Phase.MESSAGE, listing=ADDRESSES)
def senders(situation: Situation, argument: Template) -> bool:
    """True if the envelope's sender is in the address list; an empty item is <>."""
    return match_address(situation.ctx, argument, situation.ctx.message.sender) is not None


@acl_condition("sender_domains", Phase.MESSAGE, listing=DOMAINS)
def sender_domains(situation: Situation, argument: Template) -> bool:
    """True if the domain of the envelope's sender is in the domain list."""
    domain = split(situation.ctx.message.sender)[1]
    return match_domain(situation.ctx, argument, domain) is not None
