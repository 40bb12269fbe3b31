"""Controls for the rest of the connection: how SMTP is spoken."""

from __future__ import annotations

from mta.acl.phase import Phase
from mta.acl.registry import control
from mta.acl.situation import Situation


@control("enforce_sync", phases=Phase.SMTP)
def enforce_sync(situation: Situation, options: list[str]) -> None:
    """Refuse a client that talks before it may, whatever smtp_enforce_sync says."""
    situation.connection.enforce_sync = True


@control("no_enforce_sync", phases=Phase.SMTP)
def no_enforce_sync(situation: Situation, options: list[str]) -> None:
    """Put up with a client that talks before it may."""
    situation.connection.enforce_sync = False


@control("allow_auth_unadvertised", phases=Phase.CONNECT | Phase.HELO)
def allow_auth_unadvertised(situation: Situation, options: list[str]) -> None:
    """Take AUTH with any mechanism that there is, whatever EHLO offered."""
    situation.connection.auth_unadvertised = True


@control("no_pipelining", phases=Phase.CONNECT | Phase.HELO)
def no_pipelining(situation: Situation, options: list[str]) -> None:
    """Do not offer PIPELINING."""
    situation.connection.offer_pipelining = False


@control("no_multiline_responses", phases=Phase.SMTP)
def no_multiline_responses(situation: Situation, options: list[str]) -> None:
    """Answer with one line always, for clients that cannot read more."""
    situation.connection.multiline_responses = False


@control("no_delay_flush", phases=Phase.SMTP)
def no_delay_flush(situation: Situation, options: list[str]) -> None:
    """Hold replies back during `delay`."""
    situation.connection.delay_flush = False


@control("no_callout_flush", phases=Phase.SMTP)
def no_callout_flush(situation: Situation, options: list[str]) -> None:
    """Hold replies back during callouts; there are none yet."""
