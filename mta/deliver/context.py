"""What expansions may speak of while a message is delivered, made from its envelope."""

from __future__ import annotations

import os
from collections.abc import Callable

from mta.config.model import Configuration
from mta.expand.context import Connection, Context, Message, Place
from mta.lookup.api import Tables
from mta.net.tls_terms import recorded
from mta.route.api import Address
from mta.spool.envelope import RET_FULL, RET_HEADERS, Envelope
from mta.spool.reader import Message as SpoolMessage

RETURNS = {RET_FULL: "full", RET_HEADERS: "hdrs"}


def context_of(conf: Configuration, tables: Tables, message: SpoolMessage) -> Context:
    """The context of a message, without an address."""
    envelope = message.envelope
    return Context(
        conf,
        tables,
        connection=_connection(envelope),
        message=Message(
            message_id=envelope.id,
            sender=envelope.sender,
            recipients=[recipient.address for recipient in envelope.recipients],
            headers=list(envelope.headers),
            size=message.size,
            received_time=envelope.received_time,
            body_linecount=envelope.body_linecount,
            max_received_linelength=envelope.max_received_linelength,
            body_start=_body_of(message),
            acl_m=dict(envelope.acl_m),
            first_delivery=envelope.deliver_firsttime,
            rcpt_count=len(envelope.recipients),
            return_path=envelope.sender,
            originator_uid=envelope.uid,
            originator_gid=envelope.gid,
        ),
    )


def _connection(envelope: Envelope) -> Connection:
    return Connection(
        host_address=envelope.host_address,
        host_port=envelope.host_port,
        host_name=envelope.host_name,
        host_lookup_failed=envelope.host_lookup_failed,
        host_lookup_deferred=envelope.host_lookup_deferred,
        interface_address=envelope.interface_address,
        interface_port=envelope.interface_port,
        active_hostname=envelope.active_hostname,
        helo_name=envelope.helo_name,
        protocol=envelope.received_protocol,
        ident=envelope.ident,
        host_auth=envelope.host_auth,
        host_auth_pubname=envelope.host_auth_pubname,
        authenticated_id=envelope.auth_id,
        authenticated_sender=envelope.auth_sender,
        acl_c=dict(envelope.acl_c),
        tls=recorded(
            envelope.tls_cipher,
            envelope.tls_peerdn,
            envelope.tls_sni,
            verified=envelope.tls_certificate_verified,
        ),
        tls_sni=envelope.tls_sni,
    )


def _body_of(message: SpoolMessage) -> Callable[[int], bytes]:
    def start(limit: int) -> bytes:
        size = max(0, min(limit, message.body_size))
        return os.pread(message.data_fd, size, message.body_offset)

    return start


def values_of(envelope: Envelope) -> dict[str, str]:
    """What a transport may ask of the message beside headers and recipients, by the names of
    the variables; empty ones are left out.  Trust is kept with each."""
    values: dict[str, str] = {
        "sender_address": envelope.sender,
        "sender_host_address": envelope.host_address,
        "sender_host_port": _number(envelope.host_port),
        "sender_host_name": envelope.host_name,
        "received_ip_address": envelope.interface_address,
        "received_port": _number(envelope.interface_port),
        "smtp_active_hostname": envelope.active_hostname,
        "sender_helo_name": envelope.helo_name,
        "received_protocol": envelope.received_protocol,
        "sender_ident": envelope.ident,
        "sender_host_authenticated": envelope.host_auth,
        "authenticated_id": envelope.auth_id,
        "authenticated_sender": envelope.auth_sender,
        "body_linecount": _number(envelope.body_linecount),
        "max_received_linelength": _number(envelope.max_received_linelength),
        "tls_in_cipher": envelope.tls_cipher,
        "tls_in_peerdn": envelope.tls_peerdn,
        "tls_in_sni": envelope.tls_sni,
        "tls_in_certificate_verified": "1" if envelope.tls_certificate_verified else "",
        "originator_uid": str(envelope.uid),
        "originator_gid": str(envelope.gid),
    }
    values = {name: text for name, text in values.items() if text}
    # The null sender is a value, too.
    values["sender_address"] = envelope.sender
    for name, text in envelope.acl_c.items():
        values[f"acl_c{name}"] = text
    for name, text in envelope.acl_m.items():
        values[f"acl_m{name}"] = text
    return values


def values_with(address: Address, values: dict[str, str]) -> dict[str, str]:
    """The values of a message and those of an address, which its parcel has, too."""
    own: dict[str, str] = {
        "local_part_prefix_v": address.prefix_v,
        "local_part_suffix_v": address.suffix_v,
        "current_directory": address.current_directory or "",
        **address.variables,
    }
    own = {name: text for name, text in own.items() if text}
    return {**values, **own} if own else values


def _number(number: int) -> str:
    return str(number) if number else ""


def place_of(address: Address, router: str, transport: str) -> Place:
    """The place of an address that is routed, for the options of its transport."""
    origin, parent = address.origin, address.parent
    return Place(
        local_part=address.local_part,
        domain=address.domain,
        local_part_prefix=address.prefix,
        local_part_suffix=address.suffix,
        local_part_prefix_v=address.prefix_v,
        local_part_suffix_v=address.suffix_v,
        local_part_data=address.local_part_data,
        domain_data=address.domain_data,
        original_local_part=origin.whole,
        original_domain=origin.domain,
        parent_local_part=parent.whole if parent else "",
        parent_domain=parent.domain if parent else "",
        address_data=address.address_data,
        home=address.home,
        local_user_uid=address.uid,
        local_user_gid=address.gid,
        router_name=router,
        transport_name=transport,
        router_variables=address.variables,
    )
