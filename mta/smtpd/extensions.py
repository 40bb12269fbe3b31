"""What EHLO offers: one function for each extension, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Callable

from mta.base.registry import Registry
from mta.match.host import in_hosts
from mta.smtpd import auth
from mta.smtpd.state import Session

# The line of the reply, or None when this client is not offered the extension.
Offer = Callable[[Session], str | None]

EXTENSIONS: Registry[Offer] = Registry("SMTP extension")
_IN_ORDER: list[Offer] = []


def extension(keyword: str) -> Callable[[Offer], Offer]:
    """Declare an extension."""

    def declare(offer: Offer) -> Offer:
        EXTENSIONS.add(keyword, offer, offer.__doc__)
        _IN_ORDER.append(offer)
        return offer

    return declare


def offered(session: Session) -> list[str]:
    """The lines of the reply to EHLO behind the first."""
    return [line for offer in _IN_ORDER if (line := offer(session)) is not None]


@extension("SIZE")
def size(session: Session) -> str:
    """How large a message may be, so that a larger one need not be sent.  RFC 1870."""
    return f"SIZE {session.size_limit}" if session.size_limit else "SIZE"


@extension("LIMITS")
def limits(session: Session) -> str | None:
    """How many messages and recipients there may be.  RFC 9422."""
    smtp = session.service.conf.smtp_in
    parts = []
    if smtp.smtp_accept_max_per_connection:
        parts.append(f"MAILMAX={smtp.smtp_accept_max_per_connection}")
    if smtp.recipients_max:
        parts.append(f"RCPTMAX={smtp.recipients_max}")
    return " ".join(["LIMITS", *parts]) if parts else None


@extension("8BITMIME")
def eight_bit_mime(session: Session) -> str | None:
    """Octets above 127 are taken as they are.  RFC 6152."""
    return "8BITMIME" if session.service.conf.smtp_in.accept_8bitmime else None


@extension("DSN")
def delivery_status_notifications(session: Session) -> str | None:
    """A client may say what it wants to be told of each recipient.  RFC 3461."""
    hosts = session.service.conf.smtp_in.dsn_advertise_hosts
    session.dsn = in_hosts(session.ctx, hosts)
    return "DSN" if session.dsn else None


@extension("PIPELINING")
def pipelining(session: Session) -> str | None:
    """Commands may be sent in groups.  RFC 2920."""
    hosts = session.service.conf.smtp_in.pipelining_advertise_hosts
    offer = session.situation.connection.offer_pipelining
    session.pipelining = offer and in_hosts(session.ctx, hosts)
    return "PIPELINING" if session.pipelining else None


@extension("AUTH")
def authentication(session: Session) -> str | None:
    """The client can say who it is.  RFC 4954."""
    return auth.offered_to(session)


@extension("ENHANCEDSTATUSCODES")
def enhanced_status_codes(session: Session) -> str:
    """Replies say in a second code what was the matter.  RFC 2034."""
    session.enhanced = True
    return "ENHANCEDSTATUSCODES"


@extension("STARTTLS")
def starttls(session: Session) -> str | None:
    """The conversation may go on in secret.  RFC 3207."""
    hosts = session.service.conf.tls.tls_advertise_hosts
    may = session.caller is None and session.ctx.connection.tls is None
    session.starttls = may and in_hosts(session.ctx, hosts)
    return "STARTTLS" if session.starttls else None


@extension("HELP")
def help_(session: Session) -> str:
    """The commands can be asked for.  RFC 5321."""
    return "HELP"
