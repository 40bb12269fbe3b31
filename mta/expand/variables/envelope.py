"""Variables of the connection, the message and the address."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

from mta.base import clock
from mta.base.text import to_text
from mta.expand.client import full_host, look_up_name, received_host
from mta.expand.context import Context
from mta.expand.headers import all_headers
from mta.expand.registry import variable
from mta.expand.split import join_list
from mta.mail import address as addresses
from mta.mail.header import DELETED, find

_BODY_VISIBLE = 500


def _text(name: str, part: str, field: str, doc: str) -> None:
    """Declare a variable that is one field of the context, as it is."""

    get: Callable[[Context], str | None] = attrgetter(f"{part}.{field}")

    def read(ctx: Context) -> str:
        return get(ctx) or ""

    read.__doc__ = doc
    variable(name)(read)


def _number(name: str, part: str, field: str, doc: str) -> None:
    """Declare a variable that is a number which the program counted or was told."""

    def read(ctx: Context) -> str:
        return str(getattr(getattr(ctx, part), field))

    read.__doc__ = doc
    variable(name, trusted=True)(read)


for _name, _part, _field, _doc in (
    ("sender_host_address", "connection", "host_address", "The address of the client."),
    ("received_ip_address", "connection", "interface_address", "Our end of the connection."),
    ("interface_address", "connection", "interface_address", "Our end of the connection."),
    ("sender_helo_name", "connection", "helo_name", "What the client called itself."),
    ("received_protocol", "connection", "protocol", "How the message came: esmtp, local …"),
    ("sender_ident", "connection", "ident", "Who the client, or the local user, says he is."),
    ("authenticated_id", "connection", "authenticated_id", "The user that authenticated."),
    ("authenticated_sender", "connection", "authenticated_sender", "AUTH= of the sender."),
    (
        "authenticated_fail_id",
        "connection",
        "authenticated_fail_id",
        "Who last failed to authenticate.",
    ),
    (
        "sender_host_authenticated",
        "connection",
        "host_auth",
        "The authenticator by which the client has authenticated.",
    ),
    ("message_exim_id", "message", "message_id", "The id of the message."),
    ("message_id", "message", "message_id", "The id of the message."),
    ("sender_address", "message", "sender", "The sender in the envelope."),
    ("local_part", "place", "local_part", "The local part of the address."),
    ("domain", "place", "domain", "The domain of the address."),
    ("local_part_prefix", "place", "local_part_prefix", "The prefix that was cut off."),
    ("local_part_suffix", "place", "local_part_suffix", "The suffix that was cut off."),
    ("local_part_prefix_v", "place", "local_part_prefix_v", "What * stood for in the prefix."),
    ("local_part_suffix_v", "place", "local_part_suffix_v", "What * stood for in the suffix."),
    ("local_part_data", "place", "local_part_data", "What local_parts found; never tainted."),
    ("domain_data", "place", "domain_data", "What domains found; never tainted."),
    ("original_local_part", "place", "original_local_part", "The local part as it came in."),
    ("original_domain", "place", "original_domain", "The domain as it came in."),
    ("parent_local_part", "place", "parent_local_part", "That of the redirected address."),
    ("parent_domain", "place", "parent_domain", "That of the redirected address."),
    ("address_data", "place", "address_data", "What the option address_data left."),
    ("address_file", "place", "address_file", "The file that a redirection named."),
    ("address_pipe", "place", "address_pipe", "The command that a redirection named."),
    ("home", "place", "home", "The home directory of the recipient."),
    ("host", "place", "host", "The host that is delivered to."),
    ("host_address", "place", "host_address", "The address of the host delivered to."),
    ("router_name", "place", "router_name", "The router that is running."),
    ("transport_name", "place", "transport_name", "The transport that is running."),
    ("self_hostname", "place", "self_hostname", "This host, as a router has met it."),
    ("sender_address_data", "place", "sender_address_data", "Left by verifying the sender."),
    ("acl_verify_message", "place", "acl_verify_message", "Why a verification failed."),
):
    _text(_name, _part, _field, _doc)

for _name, _part, _field, _doc in (
    ("sender_host_port", "connection", "host_port", "The port of the client."),
    ("received_port", "connection", "interface_port", "The port of our end."),
    ("interface_port", "connection", "interface_port", "The port of our end."),
    ("message_size", "message", "size", "The size of the message in octets."),
    ("body_linecount", "message", "body_linecount", "How many lines the body has."),
    ("rcpt_count", "message", "rcpt_count", "How many RCPT commands there were."),
    ("rcpt_defer_count", "message", "rcpt_defer_count", "Recipients answered with 4xx."),
    ("rcpt_fail_count", "message", "rcpt_fail_count", "Recipients answered with 5xx."),
    ("host_port", "place", "host_port", "The port that is delivered to."),
):
    _number(_name, _part, _field, _doc)


@variable("smtp_active_hostname")
def smtp_active_hostname(ctx: Context) -> str:
    """What this host calls itself in this connection."""
    return ctx.connection.active_hostname or ctx.conf.naming.primary_hostname


@variable("host_lookup_failed", trusted=True)
def host_lookup_failed(ctx: Context) -> str:
    """1 if the name of the client could not be confirmed, else 0."""
    return "1" if ctx.connection.host_lookup_failed else "0"


@variable("authentication_failed", trusted=True)
def authentication_failed(ctx: Context) -> str:
    """1 if the last AUTH of the client did not succeed, else 0."""
    return "1" if ctx.connection.authentication_failed else "0"


@variable("lookup_dnssec_authenticated", trusted=True)
def lookup_dnssec_authenticated(ctx: Context) -> str:
    """Whether the last dnsdb look-up that asked for it was verified: yes, no, or empty."""
    return {None: "", True: "yes", False: "no"}[ctx.tables.dns_secure]


@variable("sender_host_name")
def sender_host_name(ctx: Context) -> str:
    """The name of the client, looked up now if need be; empty if it has none."""
    look_up_name(ctx)
    return ctx.connection.host_name


@variable("host_lookup_deferred", trusted=True)
def host_lookup_deferred(ctx: Context) -> str:
    """1 if it cannot be told now what the name of the client is, else 0."""
    return "1" if ctx.connection.host_lookup_deferred else "0"


@variable("sender_helo_verified", trusted=True)
def sender_helo_verified(ctx: Context) -> str:
    """yes if the client has proved to be what it called itself, else no."""
    return "yes" if ctx.connection.helo_verified else "no"


@variable("sender_fullhost")
def sender_fullhost(ctx: Context) -> str:
    """The client's name, the name it gave if that is another, and its address."""
    return full_host(ctx.connection)


@variable("sender_rcvhost")
def sender_rcvhost(ctx: Context) -> str:
    """The client as it stands in a Received: header."""
    return received_host(ctx.connection)


@variable("sender_address_local_part")
def sender_address_local_part(ctx: Context) -> str:
    """The local part of the sender."""
    return addresses.split(ctx.message.sender)[0]


@variable("sender_address_domain")
def sender_address_domain(ctx: Context) -> str:
    """The domain of the sender."""
    return addresses.split(ctx.message.sender)[1]


@variable("return_path")
def return_path(ctx: Context) -> str:
    """The sender as the next hop will see it."""
    path = ctx.message.return_path
    return ctx.message.sender if path is None else path


@variable("recipients")
def recipients(ctx: Context) -> str:
    """The recipients of the message, with commas between them."""
    return ", ".join(ctx.message.recipients)


@variable("recipients_list")
def recipients_list(ctx: Context) -> str:
    """The recipients of the message as a list."""
    return join_list(":", ctx.message.recipients)


@variable("message_body_size", trusted=True)
def message_body_size(ctx: Context) -> str:
    """The size of the body in octets."""
    headers = sum(len(each.text) for each in ctx.message.headers if each.kind != DELETED)
    return str(max(0, ctx.message.size - headers))


@variable("recipients_count", trusted=True)
def recipients_count(ctx: Context) -> str:
    """How many recipients the message has."""
    return str(len(ctx.message.recipients))


@variable("originator_uid", trusted=True)
def originator_uid(ctx: Context) -> str:
    """The number of the user that handed the message in."""
    return str(ctx.message.originator_uid)


@variable("originator_gid", trusted=True)
def originator_gid(ctx: Context) -> str:
    """The number of the group of the user that handed the message in."""
    return str(ctx.message.originator_gid)


@variable("local_user_uid", trusted=True)
def local_user_uid(ctx: Context) -> str:
    """The number of the local user that check_local_user found."""
    number = ctx.place.local_user_uid
    return "" if number is None else str(number)


@variable("local_user_gid", trusted=True)
def local_user_gid(ctx: Context) -> str:
    """The number of the group of the local user that check_local_user found."""
    number = ctx.place.local_user_gid
    return "" if number is None else str(number)


@variable("received_time", trusted=True)
def received_time(ctx: Context) -> str:
    """When the message came, in seconds since 1970."""
    return str(int(ctx.message.received_time))


@variable("message_age", trusted=True)
def message_age(ctx: Context) -> str:
    """How long ago the message came, in seconds."""
    return str(max(0, int(clock.now() - ctx.message.received_time)))


@variable("received_count", trusted=True)
def received_count(ctx: Context) -> str:
    """How many Received: headers there are, the one of this host included."""
    return str(len(find(ctx.message.headers, "received")))


@variable("received_for")
def received_for(ctx: Context) -> str:
    """The recipient, if there is only one, for the Received: header."""
    return ctx.message.recipients[0] if len(ctx.message.recipients) == 1 else ""


@variable("max_received_linelength", trusted=True)
def max_received_linelength(ctx: Context) -> str:
    """The length of the longest line that was received."""
    return str(ctx.message.max_received_linelength)


@variable("message_headers_raw")
def message_headers_raw(ctx: Context) -> str:
    """The whole header block as it is."""
    return all_headers(ctx.message.headers)


@variable("message_headers")
def message_headers(ctx: Context) -> str:
    """The whole header block."""
    return all_headers(ctx.message.headers)


@variable("message_body")
def message_body(ctx: Context) -> str:
    """The beginning of the body, with blanks for line ends and NULs."""
    octets = ctx.message.body_start(_BODY_VISIBLE)[:_BODY_VISIBLE]
    return to_text(octets.translate(bytes.maketrans(b"\n\0", b"  ")))


@variable("message_linecount", trusted=True)
def message_linecount(ctx: Context) -> str:
    """How many lines the message has, headers included."""
    seen = ctx.message
    return str(sum(each.text.count(b"\n") for each in seen.headers) + seen.body_linecount)


@variable("reply_address")
def reply_address(ctx: Context) -> str:
    """Reply-To: of the message, or From: where that is missing."""
    for name in ("reply-to", "from"):
        for each in find(ctx.message.headers, name):
            if (found := to_text(each.body).strip(" \t\n")) != "":
                return found
    return ""


@variable("acl_narg")
def acl_narg(ctx: Context) -> str:
    """How many arguments the ACL was called with."""
    return ctx.values.get("acl_narg", "0")


def _argument(name: str) -> None:
    def read(ctx: Context) -> str:
        return ctx.values.get(name, "")

    read.__doc__ = "An argument of the ACL that is running."
    variable(name)(read)


for _index in range(1, 10):
    _argument(f"acl_arg{_index}")
