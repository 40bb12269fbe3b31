"""Controls for one message: what is done with it once it is in."""

from __future__ import annotations

from mta.acl.phase import Phase
from mta.acl.registry import control
from mta.acl.situation import AclError, Situation, Submission
from mta.base.text import words

_LONGEST_NAME = 200


@control("freeze", phases=Phase.MESSAGE)
def freeze(situation: Situation, options: list[str]) -> None:
    """Take the message but deliver it only when somebody thaws it.

    freeze/no_tell tells nobody.
    """
    for option in options:
        if option != "no_tell":
            raise AclError(f'syntax error in "control=freeze/{option}"')
    situation.message.freeze = True
    situation.message.freeze_tell = not options


@control("queue", "queue_only", phases=Phase.MESSAGE)
def queue(situation: Situation, options: list[str]) -> None:
    """Leave the message to the next queue run."""
    situation.message.queue_only = True


# What changes the message as it is completed has to come before its data.
_BEFORE_DATA = Phase.MAIL | Phase.RCPT | Phase.PREDATA


@control("submission", phases=_BEFORE_DATA)
def submission(situation: Situation, options: list[str]) -> None:
    """Complete the message as one of a local program is: RFC 6409.

    Message-ID:, Date: and From: are added where they are missing.  Sender: and the return path
    become the address of who has authenticated, Sender: only where From: is somebody else.

    /sender_retain leaves Sender: and the return path as they are.  /domain=DOMAIN is the
    domain of that address instead of qualify_domain; empty, the authenticated id is a whole
    address.  /name=TEXT is the full name of the user; it comes last, as it may have slashes.
    """
    domain: str | None = None
    name, retain = "", False
    for number, option in enumerate(options):
        key, equals, value = option.partition("=")
        if option == "sender_retain":
            retain = True
        elif equals and key == "domain":
            domain = value
        elif equals and key == "name":
            name = " ".join(words("/".join([value, *options[number + 1 :]])))
            break
        else:
            raise AclError(f'syntax error in "control=submission/{"/".join(options)}"')
    situation.message.submission = Submission(domain, name[:_LONGEST_NAME], retain)


@control("suppress_local_fixups", phases=_BEFORE_DATA)
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
