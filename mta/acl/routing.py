"""Verifying addresses by asking the routers, as a delivery would."""

from __future__ import annotations

from mta.acl.verifier import Result, Verification, Verifier
from mta.expand.context import Context
from mta.route.api import Deferred, Undeliverable, address_of
from mta.route.engine import Routers

GOOD = Verification(Result.GOOD)


def by_routing(routers: Routers) -> Verifier:
    """The verifier that asks these routers."""

    def verify(ctx: Context, address: str, what: str) -> Verification:
        sender = what == "sender"
        for result in routers.route(ctx, address_of(address), verify=True, sender=sender):
            if not isinstance(result, Undeliverable):
                continue
            verdict = result.verdict
            if isinstance(verdict, Deferred):
                return Verification(Result.UNKNOWN, "", verdict.text, "4.3.0")
            status = "5.1.8" if sender else verdict.status
            return Verification(Result.BAD, verdict.text, verdict.log, status)
        return GOOD

    return verify
