"""Operators on mail addresses, IP addresses, lists and files."""

from __future__ import annotations

import os
import stat as stat_module

from mta.base.errors import ExpansionFail, describe
from mta.base.text import is_number
from mta.expand.context import Context
from mta.expand.ip import mask as masked
from mta.expand.ip import octets_of
from mta.expand.registry import operator
from mta.expand.split import join_list, split_list
from mta.expand.trust import keep
from mta.mail.address import AddressError, parse_list, split

_NEST_LIMIT = 20


def _single(text: str) -> str:
    try:
        found = parse_list(text)
    except AddressError:
        return ""
    return found[0] if len(found) == 1 else ""


@operator("address")
def address(text: str) -> str:
    """The address in a header line with one; nothing if it has none.

    ${address:Foo Bar <x@y.example>} → x@y.example
    ${address:nonsense@@x} →
    """
    return _single(text)


@operator("local_part")
def local_part(text: str) -> str:
    """The local part of an address.

    ${local_part:Foo <x@y.example>} → x
    """
    return split(_single(text))[0]


@operator("domain")
def domain(text: str) -> str:
    """The domain of an address.

    ${domain:Foo <x@y.example>} → y.example
    """
    return split(_single(text))[1]


@operator("addresses")
def addresses(text: str) -> str:
    """All addresses of a header line, as a list; ">" names another separator than ":".

    ${addresses:Foo <a@b.example>, c@d.example} → a@b.example:c@d.example
    ${addresses:>+ a@b.example, c@d.example} → a@b.example+c@d.example
    """
    mark = ":"
    if text.startswith(">") and len(text) > 1:
        mark, text = text[1], text[2:]
    return join_list(mark, parse_list(text, errors=[]))


@operator("mask")
def mask(text: str) -> str:
    """The network of an address; the groups of IPv6 have dots between them, for lsearch.

    ${mask:192.0.2.77/24} → 192.0.2.0/24
    ${mask:2001:db8::1/32} → 2001.0db8.0000.0000.0000.0000.0000.0000/32
    """
    plain, slash, bits = text.partition("/")
    octets = octets_of(plain)
    if octets is None or (slash and not is_number(bits)):
        raise ExpansionFail(f'"{text}" is not an IP address')
    if not slash:
        raise ExpansionFail(f'missing mask value in "{text}"')
    if len(bits) > 3 or int(bits) > len(octets) * 8:
        raise ExpansionFail(f'mask value too big in "{text}"')
    cut = masked(octets, int(bits))
    if len(cut) == 4:
        return ".".join(str(octet) for octet in cut) + f"/{int(bits)}"
    return ".".join(_groups(cut)) + f"/{int(bits)}"


def _groups(octets: bytes) -> list[str]:
    return [octets[at : at + 2].hex() for at in range(0, 16, 2)]


@operator("reverse_ip")
def reverse_ip(text: str) -> str:
    """An address backwards, as DNS lists want it.

    ${reverse_ip:192.0.2.1} → 1.2.0.192
    """
    octets = octets_of(text)
    if octets is None:
        raise ExpansionFail(f"reverse_ip() not given an IP address [{text}]")
    if len(octets) == 4:
        return ".".join(str(octet) for octet in reversed(octets))
    return ".".join(reversed(octets.hex()))


def _sixteen(text: str, name: str) -> bytes:
    octets = octets_of(text)
    if octets is None:
        raise ExpansionFail(f"{name}: not an IP address [{text}]")
    return octets if len(octets) == 16 else b"\0" * 10 + b"\xff\xff" + octets


@operator("ipv6norm")
def ipv6norm(text: str) -> str:
    """An IPv6 address in its short form.

    ${ipv6norm:2001:0db8:0000::0001} → 2001:db8::1
    """
    groups = [f"{int(group, 16):x}" for group in _groups(_sixteen(text, "ipv6norm"))]
    best, length = 0, 0
    for start in range(8):
        size = 0
        while start + size < 8 and groups[start + size] == "0":
            size += 1
        if size > length:
            best, length = start, size
    if length < 2:
        return ":".join(groups)
    return ":".join(groups[:best]) + "::" + ":".join(groups[best + length :])


@operator("ipv6denorm")
def ipv6denorm(text: str) -> str:
    """An IPv6 address with all its digits.

    ${ipv6denorm:2001:db8::1} → 2001:0db8:0000:0000:0000:0000:0000:0001
    """
    return ":".join(_groups(_sixteen(text, "ipv6denorm")))


@operator("listcount")
def listcount(text: str) -> str:
    """How many items a list has.

    ${listcount:a:b::c} → 2
    """
    return str(len(split_list(text)))


@operator(
    "listnamed", "listnamed_d", "listnamed_h", "listnamed_a", "listnamed_l", context=True
)
def listnamed(ctx: Context, name: str) -> str:
    """The text of a named list, with the lists in it put in their place.

    _d, _h, _a and _l say of what it is a list.
    """
    return _listed(ctx, name, 0)


def _listed(ctx: Context, name: str, depth: int) -> str:
    found = next((each for (_, key), each in ctx.conf.lists.items() if key == name), None)
    if found is None or depth > _NEST_LIMIT:
        raise ExpansionFail(f'"{name}" is not a named list')
    items: list[str] = []
    for each in split_list(found.template.text):
        items.append(_listed(ctx, each[1:], depth + 1) if each.startswith("+") else each)
    return keep(found.template.text, join_list(":", items))


@operator("stat")
def stat(text: str) -> str:
    """What the system knows of a file, as name=value pairs.

    ${extract{smode}{${stat:/}}} → drwxr-xr-x
    """
    try:
        found = os.stat(text)
    except (OSError, ValueError) as error:
        why = describe(error) if isinstance(error, OSError) else "not a file name"
        raise ExpansionFail(f"stat({text}) failed: {why}") from error
    return (
        f"mode={stat_module.S_IMODE(found.st_mode) | stat_module.S_IFMT(found.st_mode):o}"
        f" smode={stat_module.filemode(found.st_mode)} inode={found.st_ino}"
        f" device={found.st_dev} links={found.st_nlink} uid={found.st_uid}"
        f" gid={found.st_gid} size={found.st_size} atime={int(found.st_atime)}"
        f" mtime={int(found.st_mtime)} ctime={int(found.st_ctime)}"
    )
