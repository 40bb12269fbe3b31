"""Conditions on the state of the session: condition, authenticated, encrypted."""

from __future__ import annotations

from mta.acl.phase import Phase
from mta.acl.registry import acl_condition
from mta.acl.situation import AclError, Situation
from mta.base.errors import ExpansionFail
from mta.base.text import trim
from mta.config.template import Template
from mta.expand.run import expand, truth
from mta.match.localpart import LOCAL_PARTS, match_local_part


@acl_condition("condition", Phase.ANY)
def condition(situation: Situation, argument: Template) -> bool:
    """True if the text is yes, true or a number other than 0 when it is expanded.

    The empty text, no, false and 0 are false; anything else is an error.
    """
    text = trim(expand(situation.ctx, argument))
    try:
        return truth(text, strict=True)
    except ExpansionFail as error:
        raise AclError(error.text) from None


@acl_condition("authenticated", Phase.TRANSACTION | Phase.AUTH | Phase.MAILAUTH)
def authenticated(situation: Situation, argument: Template) -> bool:
    """True if the client has authenticated by one of these authenticators; * for any."""
    by = situation.ctx.connection.host_auth
    return bool(by) and match_local_part(situation.ctx, argument, by) is not None


@acl_condition("encrypted", Phase.SMTP, listing=LOCAL_PARTS)
def encrypted(situation: Situation, argument: Template) -> bool:
    """True if the connection is encrypted, with a cipher that is in the list.

    Items are compared with $tls_in_cipher, such as TLS1.3:TLS_AES_256_GCM_SHA384:256; `*` is
    any.
    """
    tls = situation.ctx.connection.tls
    return tls is not None and match_local_part(situation.ctx, argument, str(tls)) is not None
