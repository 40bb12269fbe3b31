"""Delivery status notifications as Python's own library reads them."""

from __future__ import annotations

import email
import email.policy
from dataclasses import dataclass
from email.message import EmailMessage, Message


@dataclass(frozen=True, slots=True)
class Read:
    """A report: its header, its fields about the message, and those of each recipient."""

    message: EmailMessage
    about: dict[str, str]
    recipients: tuple[dict[str, str], ...]

    def actions(self) -> dict[str, str]:
        """What became of each final recipient."""
        return {each["Final-Recipient"]: each["Action"] for each in self.recipients}


def read(octets: bytes) -> Read:
    """A message that must be a report without defects."""
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert message.get_content_type() == "multipart/report"
    assert not [defect for part in message.walk() for defect in part.defects]
    status = list(message.iter_parts())[1].get_payload()
    assert isinstance(status, list)
    groups = [_fields(each) for each in status if isinstance(each, Message)]
    return Read(message, groups[0], tuple(groups[1:]))


def _fields(group: Message) -> dict[str, str]:
    return {name: " ".join(str(value).split()) for name, value in group.items()}
