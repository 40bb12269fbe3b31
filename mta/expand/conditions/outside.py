"""Conditions on what is outside: files, and passwords that are kept encrypted."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable

from mta.base.errors import ExpansionFail
from mta.base.text import lower, to_bytes
from mta.expand.context import Context
from mta.expand.registry import condition
from mta.lookup.crypt import is_password

_DIGESTS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "md5": (16, lambda octets: hashlib.md5(octets, usedforsecurity=False).digest()),
    "sha1": (20, lambda octets: hashlib.sha1(octets, usedforsecurity=False).digest()),
}


@condition("exists", 1)
def exists(ctx: Context, path: str) -> bool:
    """True if there is a file or directory of this name.

    ${if exists{/etc}{yes}{no}} → yes
    ${if exists{/no/such/file}{yes}{no}} → no
    """
    try:
        ctx.tables.look(path)
    except (OSError, ValueError):
        return False
    return True


@condition("crypteq", 2)
def crypteq(ctx: Context, plain: str, encrypted: str) -> bool:
    r"""True if a password is the one that was encrypted: by crypt(), or as {md5} or {sha1}.

    ${if crypteq{secret}{\{md5\}Xr4ilOzQ4PCOq3aQ0qbuaQ==}{yes}{no}} → yes
    ${if crypteq{secret}{abNANd1rDfiNc}{yes}{no}} → yes
    """
    if not encrypted.startswith("{"):
        return is_password(plain, encrypted)
    name, closed, wanted = encrypted[1:].partition("}")
    if closed and lower(name) == "crypt":
        return is_password(plain, wanted)
    known = _DIGESTS.get(lower(name))
    if not closed or known is None:
        raise ExpansionFail(f'unknown encryption mechanism in "{encrypted}"')
    size, digest = known
    octets = _octets(wanted, size)
    return octets is not None and hmac.compare_digest(octets, digest(to_bytes(plain)))


def _octets(text: str, size: int) -> bytes | None:
    """A digest that is written in hexadecimal or in base 64."""
    try:
        if len(text) == size * 2:
            return bytes.fromhex(text)
        return base64.b64decode(to_bytes(text), validate=True)
    except (ValueError, binascii.Error):
        return None
