"""The header fields that are added to a message when it comes, and those that are removed."""

from __future__ import annotations

from mta.config import kinds
from mta.config.option import Configured, Option


class Fields(Configured):
    """The header fields that are added to a message when it comes, and those that are removed.

    The default of received_header_text is what Exim writes.
    """

    received_header_text = Option(
        kinds.expanded,
        "Received: "
        "${if def:sender_rcvhost {from $sender_rcvhost\n\t}"
        "{${if def:sender_ident {from ${quote_local_part:$sender_ident} }}"
        "${if def:sender_helo_name {(helo=$sender_helo_name)\n\t}}}}"
        "by $primary_hostname "
        "${if def:received_protocol {with $received_protocol }}"
        "${if def:tls_in_ver { ($tls_in_ver)}}"
        "${if def:tls_in_cipher_std { tls $tls_in_cipher_std\n\t}}"
        "(mta $version_number)\n\t"
        "${if def:sender_address {(envelope-from <$sender_address>)\n\t}}"
        "id $message_exim_id"
        "${if def:received_for {\n\tfor $received_for}}",
        "The Received: field of each message; what is empty after expansion is not added.",
    )
    message_id_header_domain = Option(
        kinds.expanded,
        "",
        "The domain of the Message-ID: that is made for messages without one; "
        "unset means primary_hostname.",
    )
    message_id_header_text = Option(
        kinds.expanded, "", "What stands before the @ of such a Message-ID:, after the id."
    )
    return_path_remove = Option(
        kinds.boolean, "true", "Remove Return-path: from messages that come."
    )
    envelope_to_remove = Option(
        kinds.boolean, "true", "Remove Envelope-to: from messages that come."
    )
    delivery_date_remove = Option(
        kinds.boolean, "true", "Remove Delivery-date: from messages that come."
    )
