"""The accept router: takes every address that its preconditions let through."""

from __future__ import annotations

from mta.config import kinds
from mta.config.option import Option
from mta.expand.context import Context
from mta.route.api import ACCEPTED, Address, Verdict
from mta.route.router import Router, router


@router("accept")
class Accept(Router):
    """Takes every address and hands it to its transport.

    The usual last router for local mailboxes, with `local_parts` or `check_local_user` to say
    who has one.
    """

    log_as_local = Option(kinds.boolean, "true", "Log deliveries by the local part.")

    def check(self) -> None:
        self.needs_transport()

    def route(self, ctx: Context, address: Address) -> Verdict:
        return ACCEPTED
