"""What the options of a transport may speak of, in the process that delivers.

Everything comes from the parcel: this process may not read the spool.  Values that the parcel
does not know by name are the message's variables (`acl_m_…`, `acl_c_…`, `sender_host_…`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from mta.config.model import Configuration
from mta.expand.context import Connection, Context, Message, Place
from mta.expand.trust import keep
from mta.lookup.api import Tables
from mta.mail import header
from mta.net.tls_terms import recorded
from mta.transport.api import Parcel, ParcelRecipient


def context_for(
    conf: Configuration, tables: Tables, parcel: Parcel, recipient: ParcelRecipient
) -> Context:
    """The context of this delivery for one recipient, or what several have in common."""
    return Context(
        conf,
        tables,
        connection=_connection(parcel.values),
        message=_message(parcel),
        place=_place(parcel, recipient) if len(parcel.recipients) == 1 else _common(parcel),
    )


def _connection(values: dict[str, str]) -> Connection:
    return Connection(
        host_address=values.get("sender_host_address", ""),
        host_port=_number(values.get("sender_host_port", "")),
        host_name=values.get("sender_host_name", ""),
        interface_address=values.get("received_ip_address", ""),
        interface_port=_number(values.get("received_port", "")),
        active_hostname=values.get("smtp_active_hostname", ""),
        helo_name=values.get("sender_helo_name", ""),
        protocol=values.get("received_protocol", ""),
        ident=values.get("sender_ident", ""),
        host_auth=values.get("sender_host_authenticated", ""),
        authenticated_id=values.get("authenticated_id", ""),
        authenticated_sender=values.get("authenticated_sender", ""),
        acl_c=_variables(values, "acl_c"),
        tls=recorded(
            values.get("tls_in_cipher", ""),
            values.get("tls_in_peerdn", ""),
            values.get("tls_in_sni", ""),
            verified=values.get("tls_in_certificate_verified", "") == "1",
        ),
        tls_sni=values.get("tls_in_sni", ""),
    )


def _message(parcel: Parcel) -> Message:
    values = parcel.values
    return Message(
        message_id=parcel.message_id,
        sender=values.get("sender_address", parcel.sender),
        recipients=[recipient.address for recipient in parcel.recipients],
        headers=header.parse_block(parcel.headers)[0],
        size=len(parcel.headers) + 1 + parcel.body_size,
        received_time=parcel.received_time,
        body_linecount=_number(values.get("body_linecount", "")),
        max_received_linelength=_number(values.get("max_received_linelength", "")),
        body_start=_body_of(parcel),
        acl_m=_variables(values, "acl_m"),
        return_path=parcel.sender,
        originator_uid=_number(values.get("originator_uid", "-1")),
        originator_gid=_number(values.get("originator_gid", "-1")),
    )


def _body_of(parcel: Parcel) -> Callable[[int], bytes]:
    def start(limit: int) -> bytes:
        return os.pread(parcel.body, min(limit, parcel.body_size), parcel.body_offset)

    return start


def _place(parcel: Parcel, recipient: ParcelRecipient) -> Place:
    origin_part, _, origin_domain = recipient.origin.rpartition("@")
    host = parcel.hosts[0] if parcel.hosts else None
    return Place(
        local_part=recipient.local_part,
        domain=recipient.domain,
        local_part_prefix=recipient.prefix,
        local_part_suffix=recipient.suffix,
        local_part_prefix_v=parcel.values.get("local_part_prefix_v", ""),
        local_part_suffix_v=parcel.values.get("local_part_suffix_v", ""),
        local_part_data=recipient.local_part_data,
        domain_data=recipient.domain_data,
        original_local_part=origin_part,
        original_domain=origin_domain,
        address_data=recipient.address_data,
        home=recipient.home,
        router_name=parcel.router,
        transport_name=parcel.transport,
        address_file=parcel.file,
        address_pipe=keep(parcel.pipe, f"|{parcel.pipe}") if parcel.pipe else "",
        host=host.name if host else "",
        host_address=host.address if host else "",
        host_port=host.port if host else 0,
        router_variables={
            name: text for name, text in parcel.values.items() if name.startswith("r_")
        },
    )


def _common(parcel: Parcel) -> Place:
    """What several recipients have in common: the local parts are nobody's."""
    first = parcel.recipients[0]
    place = _place(parcel, replace(first, local_part="", prefix="", suffix="", origin=""))
    place.local_part_data = None
    if any(recipient.domain != first.domain for recipient in parcel.recipients):
        place.domain, place.domain_data = "", None
    return place


def _variables(values: dict[str, str], prefix: str) -> dict[str, str]:
    return {name[5:]: text for name, text in values.items() if name[:5] == prefix}


def _number(text: str) -> int:
    if not text:
        return 0
    digits = text.removeprefix("-")
    return (
        int(text) if digits.isascii() and digits.isdigit() and len(digits) < 18 else 0
    )  # ascii: tested
