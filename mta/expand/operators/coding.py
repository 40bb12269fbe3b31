"""Operators that encode, decode and digest."""

from __future__ import annotations

import base64 as base64_module
import binascii
import hashlib
import re

from mta.base.errors import ExpansionFail
from mta.base.text import to_bytes, to_text, upper
from mta.expand.headers import decode_words
from mta.expand.registry import operator

_HEX = re.compile(r"[0-9A-Fa-f]*", re.ASCII)
_PLUS = re.compile(rb"\+([0-9A-Fa-f]{2})")
_NOT_Q = frozenset(b'?=()<>@,;:\\".[]_')
_WORD_LENGTH = 67


@operator("base64", "str2b64")
def base64(text: str) -> str:
    """A text in base 64.

    ${base64:abc} → YWJj
    """
    return to_text(base64_module.b64encode(to_bytes(text)))


@operator("base64d")
def base64d(text: str) -> str:
    """The text that was put in base 64.

    ${base64d:YWJj} → abc
    """
    try:
        return to_text(base64_module.b64decode(to_bytes(text), validate=True))
    except (binascii.Error, ValueError):
        raise ExpansionFail(
            f'string "{text}" is not well-formed for "base64d" operator'
        ) from None


@operator("hex2b64")
def hex2b64(text: str) -> str:
    """Octets in hexadecimal as base 64.

    ${hex2b64:616263} → YWJj
    """
    if not _HEX.fullmatch(text):
        raise ExpansionFail(f'"{text}" is not a hex string')
    if len(text) % 2:
        raise ExpansionFail(f'"{text}" contains an odd number of characters')
    return to_text(base64_module.b64encode(bytes.fromhex(text)))


@operator("xtextd")
def xtextd(text: str) -> str:
    """The text that was written as xtext (RFC 3461).

    ${xtextd:a+2Bb} → a+b
    """
    return to_text(_PLUS.sub(lambda code: bytes([int(code[1], 16)]), to_bytes(text)))


@operator("md5")
def md5(text: str) -> str:
    """The MD5 digest in small hexadecimal digits.

    ${md5:abc} → 900150983cd24fb0d6963f7d28e17f72
    """
    return hashlib.md5(to_bytes(text), usedforsecurity=False).hexdigest()


@operator("sha1")
def sha1(text: str) -> str:
    """The SHA-1 digest in capital hexadecimal digits.

    ${sha1:abc} → A9993E364706816ABA3E25717850C26C9CD0D89D
    """
    return upper(hashlib.sha1(to_bytes(text), usedforsecurity=False).hexdigest())


@operator("sha256")
def sha256(text: str) -> str:
    """The SHA-256 digest in capital hexadecimal digits.

    ${substr_0_16:${sha256:abc}} → BA7816BF8F01CFEA
    """
    return upper(hashlib.sha256(to_bytes(text)).hexdigest())


@operator("sha2", argument=True)
def sha2(text: str, bits: str) -> str:
    """A SHA-2 digest of 256, 384 or 512 bits.

    ${substr_0_16:${sha2_384:abc}} → CB00753F45A35E8B
    """
    if bits not in ("", "256", "384", "512"):
        raise ExpansionFail("unrecognised sha2 variant")
    return upper(hashlib.new(f"sha{bits or 256}", to_bytes(text)).hexdigest())


@operator("sha3", argument=True)
def sha3(text: str, bits: str) -> str:
    """A SHA-3 digest of 224, 256, 384 or 512 bits.

    ${substr_0_16:${sha3:abc}} → 3A985DA74FE225B2
    """
    if bits not in ("", "224", "256", "384", "512"):
        raise ExpansionFail("unrecognised sha3 variant")
    return upper(hashlib.new(f"sha3_{bits or 256}", to_bytes(text)).hexdigest())


@operator("rfc2047")
def rfc2047(text: str) -> str:
    r"""A text fit for a header: as RFC 2047 words if it has other than printable ASCII.

    ${rfc2047:hello} → hello
    ${rfc2047:caf\xc3\xa9 x} → =?UTF-8?Q?caf=C3=A9_x?=
    """
    words, line, coded = [], "=?UTF-8?Q?", False
    for octet in to_bytes(text):
        if len(line) > _WORD_LENGTH:
            words.append(line + "?=")
            line = "=?UTF-8?Q?"
        if octet == 32:
            line += "_"
        elif 33 <= octet <= 126 and octet not in _NOT_Q:
            line += chr(octet)
        else:
            line, coded = f"{line}={octet:02X}", True
    return " ".join([*words, line + "?="]) if coded else text


@operator("rfc2047d")
def rfc2047d(text: str) -> str:
    """RFC 2047 words as the text they stand for.

    ${rfc2047d:=?utf-8?Q?a?= =?utf-8?Q?b?=} → ab
    """
    return decode_words(text, convert=True)
