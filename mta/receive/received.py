"""The Received: header line, the trace that this host leaves in a message.

Its text is the option received_header_text.  The default of that option is also written here
as code, since it is wanted for every message; a test holds the two together.
"""

from __future__ import annotations

from mta.base.version import VERSION
from mta.config.main.message import Fields
from mta.expand.client import received_host
from mta.expand.context import Connection, Context
from mta.expand.run import expand
from mta.mail.address import quote
from mta.mail.date import rfc5322
from mta.mail.header import Header, make

_DEFAULT = Fields.received_header_text.initial


def received_header(ctx: Context) -> Header | None:
    """The header for the message in this context, or None if the option expands to nothing.

    Raises ExpansionFail.
    """
    template = ctx.conf.fields.received_header_text
    if template is None:
        return None
    if _DEFAULT is not None and template.text == _DEFAULT.text:
        text = usual_text(ctx)
    else:
        text = expand(ctx, template)
    name, colon, value = text.partition(":")
    if not colon:
        return None
    stamp = rfc5322(ctx.message.received_time)
    return make(name, f"{value.lstrip(' ')};\n\t{stamp}")


def usual_text(ctx: Context) -> str:
    """What the default of received_header_text expands to."""
    connection, message = ctx.connection, ctx.message
    envelope_from = f"(envelope-from <{message.sender}>)\n\t" if message.sender else ""
    protocol = f"with {connection.protocol} " if connection.protocol else ""
    tls = connection.tls
    secret = "" if tls is None else f" ({tls.version}) tls {tls.standard_cipher}\n\t"
    to = message.recipients[0] if len(message.recipients) == 1 else ""
    received_for = f"\n\tfor {to}" if to else ""
    return (
        f"Received: {_source(connection)}by {ctx.conf.naming.primary_hostname} "
        f"{protocol}{secret}(mta {VERSION})\n\t"
        f"{envelope_from}id {message.message_id}{received_for}"
    )


def _source(connection: Connection) -> str:
    if connection.host_address:
        return f"from {received_host(connection)}\n\t"
    ident = f"from {quote(connection.ident)} " if connection.ident else ""
    helo = f"(helo={connection.helo_name})\n\t" if connection.helo_name else ""
    return ident + helo
