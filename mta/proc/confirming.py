"""Whether a file or a command that a redirection named is what it names here, as the user.

The delivery process says which router named it, for which address.  The process that has
become the user reads the list again and takes the item from there, and only from there: what
somebody else claims, even the mail user, is never opened and never run.  An item that is not
in the list any more defers the address, and it is routed again.
"""

from __future__ import annotations

from dataclasses import replace

from mta.base.errors import ExpansionFail, TempFail
from mta.expand.context import Context
from mta.expand.trust import keep
from mta.mail.address import quote
from mta.proc.looker import check_owner, settle
from mta.route.api import Address, Child, address_of
from mta.route.drivers.redirect import Redirect
from mta.route.files import UNKNOWN
from mta.route.forward_list import ListError, Special
from mta.route.inherit import owner_of
from mta.route.router import Router
from mta.transport.api import Parcel, ParcelRecipient


def confirm(
    routers: dict[str, Router], ctx: Context, parcel: Parcel, *, by_router: bool
) -> Parcel:
    """The parcel, with the file or command as the list of its router has it.

    `by_router` says that the delivery runs as the user whom the router names: then it must be
    his list.  Raises TempFail.
    """
    wanted = parcel.file or f"|{parcel.pipe}"
    router = routers.get(parcel.router)
    if not isinstance(router, Redirect):
        raise TempFail(f"{parcel.router} is no router that names {wanted}", code=UNKNOWN)
    place = ctx.place
    try:
        found = _items(router, ctx, _address(parcel.recipients[0]), by_router=by_router)
    except (ListError, ExpansionFail) as error:
        raise TempFail(f"{router.name} router: {error.text}", code=UNKNOWN) from error
    finally:
        ctx.place = place
    for child in found:
        if child.kind != "address" and child.text == wanted:
            if parcel.file:
                return replace(parcel, file=child.text)
            # As trusted as the item: the bar before it is cut off.
            return replace(parcel, pipe=_command(child))
    raise TempFail(
        f"{wanted} is not what the {router.name} router says for {parcel.recipients[0].origin}"
        " when it is read by the user",
        code=UNKNOWN,
    )


def _command(child: Child) -> str:
    return keep(child.text, child.text[1:])


def _items(
    router: Redirect, ctx: Context, address: Address, *, by_router: bool
) -> list[Child]:
    settle(router, ctx, address)
    if by_router:
        check_owner(owner_of(router, ctx, address), router)
    found, _ = router.read(ctx, address)
    return [] if isinstance(found, Special) else found


def _address(recipient: ParcelRecipient) -> Address:
    """The address that was redirected."""
    local_part = f"{recipient.prefix}{recipient.local_part}{recipient.suffix}"
    text = f"{quote(local_part)}@{recipient.domain}"
    origin = None if recipient.origin == text else address_of(recipient.origin)
    return address_of(text, origin)
