"""Passwords as crypt(3) keeps them, through libcrypt: every form that the system knows.

`$y$`, `$6$`, `$2b$` and the others carry their own settings.  Checking one takes as long as
whoever made it wanted it to, from microseconds to hours, and as much memory; what would take
more than some seconds, or 128 MiB, is not checked.
"""

from __future__ import annotations

import ctypes
import functools
import hmac
import os
import re

from mta.base.errors import ExpansionFail
from mta.base.text import to_bytes, to_text

LONGEST = 512  # octets of a password; the library takes no more
_DATA = 32768  # sizeof(struct crypt_data)
_SETTING = 192  # CRYPT_GENSALT_OUTPUT_SIZE
_NEW = (b"$y$", b"$6$")  # the forms for new passwords: the first that the library has

# The forms, and the most rounds of those that count them.  A form that is not here, or not
# with these parameters, is not given to the library.
_DIGITS = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORMS: tuple[tuple[re.Pattern[bytes], int], ...] = (
    # yescrypt and its relatives: 2^15 blocks of 4 KiB at most.
    (re.compile(rb"\$(?:gy|y|sm3y)\$j[./0-9A-C][./0-9A-T]\$"), 0),
    (re.compile(rb"\$7\$[./0-9A-D][./0-9A-U]\.{4}/\.{4}"), 0),  # scrypt
    (re.compile(rb"\$2[abxy]\$(?:0[4-9]|1[0-4])\$"), 0),  # bcrypt
    (re.compile(rb"\$(?:5|6|sm3)\$rounds=([0-9]{1,9})\$"), 2_000_000),
    (re.compile(rb"\$(?:5|6|sm3)\$(?!rounds=)"), 0),
    (re.compile(rb"\$sha1\$([0-9]{1,9})\$"), 1_000_000),
    (re.compile(rb"\$md5,rounds=([0-9]{1,9})\$"), 300_000),  # Sun's
    (re.compile(rb"\$md5\$"), 0),
    (re.compile(rb"\$[13]\$"), 0),
    (re.compile(rb"[./0-9A-Za-z]{13}\Z"), 0),  # DES
)
_KNOWN = re.compile(rb"\$(?:gy|y|sm3y|7|2[abxy]|5|6|sm3|sha1|md5)[$,]|_")
_BSDI = re.compile(rb"_([./0-9A-Za-z]{4})[./0-9A-Za-z]{4}")
_BSDI_ROUNDS = 1_000_000


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libcrypt.so.1")
        function, salting = library.crypt_rn, library.crypt_gensalt_rn  # old ones lack them
    except (OSError, AttributeError) as error:
        raise ExpansionFail(f"crypt() needs libxcrypt: {error}") from error
    function.restype = ctypes.c_char_p
    function.argtypes = [
        *(ctypes.c_char_p, ctypes.c_char_p),
        *(ctypes.c_void_p, ctypes.c_int),
    ]
    salting.restype = ctypes.c_char_p
    salting.argtypes = [
        *(ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p),
        *(ctypes.c_int, ctypes.c_void_p, ctypes.c_int),
    ]
    return library


def is_password(plain: str, kept: str) -> bool:
    """True if this is the password that is kept so.

    What is no encrypted password is nobody's: "", "*", "!" before one that is locked.
    Raises ExpansionFail without the library, and for what would take too long to check.
    """
    octets, wanted = to_bytes(plain), to_bytes(kept)
    if not wanted or len(octets) > LONGEST or b"\0" in octets or b"\0" in wanted:
        return False
    if not _is_cheap(wanted):
        if _KNOWN.match(wanted):
            raise ExpansionFail("an encrypted password would take too long to check")
        return False
    found = _crypt(octets, wanted)
    return found is not None and hmac.compare_digest(found, wanted)


def _is_cheap(kept: bytes) -> bool:
    """True for a form that is known and whose settings are bearable."""
    if (found := _BSDI.match(kept)) is not None:
        rounds = sum(_DIGITS.index(digit) << 6 * at for at, digit in enumerate(found[1]))
        return rounds <= _BSDI_ROUNDS
    for form, most in _FORMS:
        if (found := form.match(kept)) is not None:
            return not most or int(found[1]) <= most
    return False


def _crypt(plain: bytes, setting: bytes) -> bytes | None:
    data = ctypes.create_string_buffer(_DATA)
    found: bytes | None = _library().crypt_rn(plain, setting, data, _DATA)
    # It must not be left where a later bug might read it.
    ctypes.memset(data, 0, _DATA)
    return found


def make(plain: str) -> str:
    """A password as it is kept, in the best form that the library has.

    Raises ExpansionFail without the library, ValueError for what no password can be.
    """
    octets = to_bytes(plain)
    if not octets or len(octets) > LONGEST or b"\0" in octets:
        raise ValueError(f"a password has 1 to {LONGEST} octets, and no NUL")
    for form in _NEW:
        setting = ctypes.create_string_buffer(_SETTING)
        random = os.urandom(32)
        library = _library()
        if library.crypt_gensalt_rn(form, 0, random, len(random), setting, _SETTING):
            made = _crypt(octets, setting.value)
            if made is not None and made.startswith(form):
                return to_text(made)
    raise ExpansionFail("this libcrypt has no form for new passwords")
