"""Submission mode: a message from elsewhere is completed as one of a local program is.

RFC 6409 8, as Exim does it: the user who has authenticated is the author.
"""

from __future__ import annotations

from mta.acl.situation import Submission
from mta.expand.context import Context
from mta.mail.address import AddressError, parse_path, quote, split
from mta.receive.fixup import Author


def author_of(ctx: Context, submission: Submission) -> Author:
    """Who sends a message in submission mode; the address is "" if nobody authenticated."""
    return Author(
        _address(ctx, submission.domain),
        submission.name,
        must_be_named=not submission.sender_retain,
        stands_in=True,
    )


def _address(ctx: Context, domain: str | None) -> str:
    """The address of the user.

    What is no local part, or no whole address where it has to be one, is quoted and gets our
    own domain: it may be anything that somebody got into a table of users.
    """
    user, ours = ctx.connection.authenticated_id, ctx.conf.naming.qualify_domain
    if not user:
        return ""
    if domain == "" and (whole := _whole(user)):
        return whole
    return f"{quote(user)}@{domain or ours}"


def _whole(text: str) -> str:
    """The text if it is an address with a domain, else ""."""
    try:
        address, rest = parse_path(
            text, null_ok=False, allow_literal=True, allow_unqualified=True, allow_utf8=True
        )
    except AddressError:
        return ""
    return address if address and split(address)[1] and not rest else ""


def sender_of(ctx: Context, submission: Submission, author: Author) -> str:
    """The return path in submission mode: that of the author, unless it is to be retained."""
    sender = ctx.message.sender
    if submission.sender_retain or not sender or not author.address:
        return sender
    return author.address
