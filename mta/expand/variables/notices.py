"""Variables of the texts of bounces and warnings, which an administrator may write anew."""

from __future__ import annotations

from mta.expand.context import Context
from mta.expand.registry import variable


@variable("bounce_recipient")
def bounce_recipient(ctx: Context) -> str:
    """Whom the bounce that is being written goes to."""
    return ctx.values.get("bounce_recipient", "")


@variable("bounce_return_size_limit", "return_size_limit")
def bounce_return_size_limit(ctx: Context) -> str:
    """How much of a message a bounce returns, in octets."""
    return str(ctx.conf.delivery.bounce_return_size_limit)


@variable("warn_message_delay")
def warn_message_delay(ctx: Context) -> str:
    """How long a message waits, in a warning: so many minutes or hours."""
    return ctx.values.get("warn_message_delay", "")


@variable("warn_message_recipients", "warn_message_recipient")
def warn_message_recipients(ctx: Context) -> str:
    """Whom the warning that is being written goes to."""
    return ctx.values.get("warn_message_recipients", "")
