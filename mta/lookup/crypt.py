"""Passwords as crypt(3) keeps them, through libcrypt: every form that the system knows.

`$y$`, `$6$`, `$2b$` and the others carry their own settings.  Checking one takes as long as
whoever made it wanted it to, from microseconds to a second.
"""

from __future__ import annotations

import ctypes
import functools
import hmac

from mta.base.errors import ExpansionFail
from mta.base.text import to_bytes

LONGEST = 512  # octets of a password; the library takes no more
_DATA = 32768  # sizeof(struct crypt_data)


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libcrypt.so.1")
        function = library.crypt_rn  # an old library lacks it
    except (OSError, AttributeError) as error:
        raise ExpansionFail(f"crypt() needs libxcrypt: {error}") from error
    function.restype = ctypes.c_char_p
    function.argtypes = [
        *(ctypes.c_char_p, ctypes.c_char_p),
        *(ctypes.c_void_p, ctypes.c_int),
    ]
    return library


def is_password(plain: str, kept: str) -> bool:
    """True if this is the password that is kept so.

    What is no encrypted password is nobody's: "", "*", "!" before one that is locked.
    Raises ExpansionFail without the library.
    """
    octets, wanted = to_bytes(plain), to_bytes(kept)
    if not wanted or len(octets) > LONGEST or b"\0" in octets or b"\0" in wanted:
        return False
    data = ctypes.create_string_buffer(_DATA)
    found = _library().crypt_rn(octets, wanted, data, _DATA)
    # It must not be left where a later bug might read it.
    same = found is not None and hmac.compare_digest(found, wanted)
    ctypes.memset(data, 0, _DATA)
    return same
