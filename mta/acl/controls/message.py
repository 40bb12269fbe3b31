"""Controls for one message: what is done with it once it is in."""

from __future__ import annotations

from mta.acl.phase import Phase
from mta.acl.registry import control
from mta.acl.situation import Situation


@control("freeze", phases=Phase.MESSAGE)
def freeze(situation: Situation, options: list[str]) -> None:
    """Take the message but deliver it only when somebody thaws it."""
    situation.message.freeze = True


@control("queue", "queue_only", phases=Phase.MESSAGE)
def queue(situation: Situation, options: list[str]) -> None:
    """Leave the message to the next queue run."""
    situation.message.queue_only = True


@control("suppress_local_fixups", phases=Phase.MESSAGE)
def suppress_local_fixups(situation: Situation, options: list[str]) -> None:
    """Add no Date:, From:, Message-ID: or Sender: to a message of a local program."""
    situation.message.local_fixups = False


@control("caseful_local_part", phases=Phase.RCPT)
def caseful_local_part(situation: Situation, options: list[str]) -> None:
    """Keep the case of the local part for the rest of this ACL."""
    situation.message.caseful_local_part = True
    situation.ctx.place.local_part = situation.ctx.place.original_local_part


@control("caselower_local_part", phases=Phase.RCPT)
def caselower_local_part(situation: Situation, options: list[str]) -> None:
    """Put the local part into lower case, as it is from the start."""
    situation.message.caseful_local_part = False


@control("dkim_disable_verify", phases=Phase.SMTP)
def dkim_disable_verify(situation: Situation, options: list[str]) -> None:
    """Verify no DKIM signatures of this message; none are yet."""


@control("no_mbox_unspool", phases=Phase.MESSAGE)
def no_mbox_unspool(situation: Situation, options: list[str]) -> None:
    """Keep the copy for content scanners; none is made yet."""
