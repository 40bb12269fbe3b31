"""The letter to whoever keeps a list: which of its items are no addresses and left out."""

from __future__ import annotations

from collections.abc import Iterable

from mta.base.text import one_line
from mta.deliver.item import Item
from mta.route.api import Address, Remark

SUBJECT = "error(s) in forwarding or filtering"
MOST_ERRORS = 100
LONGEST = 1000  # characters of one of them


def letter(remark: Remark, items: Iterable[Item]) -> str:
    """The text of the letter: the administrator's words, then what was wrong."""
    lines = [remark.text, ""] if remark.text else []
    lines += [f"The {remark.router} router encountered the following error(s):", ""]
    for error in remark.errors[:MOST_ERRORS]:
        reason, _, item = one_line(error[:LONGEST]).partition(' in "')
        lines += [f"  {reason} in the address", f'  "{item}', ""]
    if any(_came_of(item.address, remark) for item in items):
        lines.append("Other addresses were processed normally.")
    else:
        lines.append("No valid addresses were generated.")
    return "\n".join([*lines, ""])


def _came_of(address: Address | None, remark: Remark) -> bool:
    """True for an address that the list made."""
    while address is not None and address.parent is not None:
        if address.parent is remark.address:
            return True
        address = address.parent
    return False
