"""How large a message may be."""

from __future__ import annotations

from mta.base.errors import ConfigError, ExpansionFail, TempFail
from mta.base.text import trim
from mta.config.kinds import parse_integer
from mta.expand.context import Context
from mta.expand.run import expand


def size_limit(ctx: Context) -> int:
    """message_size_limit in octets, 0 for none.  Raises TempFail."""
    template = ctx.conf.smtp_in.message_size_limit
    if template is None:
        return 0
    try:
        return max(0, parse_integer(trim(expand(ctx, template)), template.where))
    except ExpansionFail as error:
        if error.forced:
            return 0
        raise TempFail(f"message_size_limit: {error.text}") from error
    except ConfigError as error:
        raise TempFail(f"message_size_limit: {error.reason}") from error
