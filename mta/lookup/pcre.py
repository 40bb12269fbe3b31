"""Perl-compatible regular expressions through libpcre2-8, on octets, with bounds.

Exim's patterns are PCRE's, and Python's `re` differs in what administrators use.  A match that
takes too many steps is ended and raises ExpansionFail, so that no subject makes a pattern run
for ever.
"""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass

from mta.base.errors import ConfigError, ExpansionFail
from mta.base.text import to_bytes, to_text

MATCH_LIMIT = 500_000
DEPTH_LIMIT = 10_000
HEAP_LIMIT = 16_384  # KiB
CACHE_SIZE = 500
_CASELESS = 0x00000008
_NO_MATCH = -1
_PACKAGE = "libpcre2-8-0"


@dataclass(frozen=True, slots=True)
class _Library:
    """The functions of the library that are used."""

    pcre: ctypes.CDLL
    context: ctypes.c_void_p


@functools.cache
def _library() -> _Library:
    try:
        pcre = ctypes.CDLL("libpcre2-8.so.0")
    except OSError as error:
        raise ConfigError(
            None, f"regular expressions need PCRE: {error}", f"install {_PACKAGE}"
        ) from error
    pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    signatures = {
        "pcre2_compile_8": (
            pointer,
            [ctypes.c_char_p, size, ctypes.c_uint32, pointer, pointer, pointer],
        ),
        "pcre2_code_free_8": (None, [pointer]),
        "pcre2_match_data_create_from_pattern_8": (pointer, [pointer, pointer]),
        "pcre2_match_data_free_8": (None, [pointer]),
        "pcre2_match_context_create_8": (pointer, [pointer]),
        "pcre2_set_match_limit_8": (number, [pointer, ctypes.c_uint32]),
        "pcre2_set_depth_limit_8": (number, [pointer, ctypes.c_uint32]),
        "pcre2_set_heap_limit_8": (number, [pointer, ctypes.c_uint32]),
        "pcre2_match_8": (
            number,
            [pointer, ctypes.c_char_p, size, size, ctypes.c_uint32, pointer, pointer],
        ),
        "pcre2_get_ovector_pointer_8": (ctypes.POINTER(size), [pointer]),
        "pcre2_get_error_message_8": (number, [number, ctypes.c_char_p, size]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(pcre, name)
        function.restype, function.argtypes = result, arguments
    context = ctypes.c_void_p(pcre.pcre2_match_context_create_8(None))
    pcre.pcre2_set_match_limit_8(context, MATCH_LIMIT)
    pcre.pcre2_set_depth_limit_8(context, DEPTH_LIMIT)
    pcre.pcre2_set_heap_limit_8(context, HEAP_LIMIT)
    return _Library(pcre, context)


class Pattern:
    """A compiled regular expression."""

    __slots__ = ("_code", "_data", "_library", "_match", "_ovector", "text")

    def __init__(self, text: str, *, caseless: bool = False) -> None:
        """Raises ExpansionFail for a pattern that is none."""
        self.text = text
        self._code: int | None = None
        self._library = _library()
        pcre, octets = self._library.pcre, to_bytes(text)
        error, offset = ctypes.c_int(), ctypes.c_size_t()
        self._code = pcre.pcre2_compile_8(
            octets,
            len(octets),
            _CASELESS if caseless else 0,
            ctypes.byref(error),
            ctypes.byref(offset),
            None,
        )
        if not self._code:
            raise ExpansionFail(
                f'regular expression error in "{text}": '
                f"{_message(pcre, error.value)} at offset {offset.value}"
            )
        self._data = pcre.pcre2_match_data_create_from_pattern_8(self._code, None)
        self._ovector = pcre.pcre2_get_ovector_pointer_8(self._data)
        self._match = pcre.pcre2_match_8

    def __del__(self) -> None:
        if self._code:
            self._library.pcre.pcre2_match_data_free_8(self._data)
            self._library.pcre.pcre2_code_free_8(self._code)

    def spans(self, octets: bytes, start: int = 0, options: int = 0) -> list[tuple[int, int]]:
        """Where the match and its groups lie, (-1, -1) for a group that took no part.

        Empty if nothing matches.  Raises ExpansionFail when a bound is reached.
        """
        count = self._match(
            self._code, octets, len(octets), start, options, self._data, self._library.context
        )
        if count == _NO_MATCH:
            return []
        if count < 0:
            reason = _message(self._library.pcre, count)
            raise ExpansionFail(f'matching "{self.text}" was given up: {reason}')
        flat, limit = self._ovector[: 2 * count], len(octets)
        return [
            (flat[at], flat[at + 1]) if flat[at] <= limit else (-1, -1)
            for at in range(0, 2 * count, 2)
        ]

    def matches(self, text: str) -> bool:
        """True if the pattern matches anywhere in the text."""
        return bool(self.spans(to_bytes(text)))

    def groups(self, text: str) -> tuple[str, ...] | None:
        """The matched text and that of each group, None if nothing matches."""
        octets = to_bytes(text)
        spans = self.spans(octets)
        if not spans:
            return None
        return tuple(to_text(octets[start:end]) if start >= 0 else "" for start, end in spans)


def _message(pcre: ctypes.CDLL, code: int) -> str:
    buffer = ctypes.create_string_buffer(256)
    pcre.pcre2_get_error_message_8(code, buffer, len(buffer))
    return to_text(buffer.value)


@functools.lru_cache(CACHE_SIZE)
def pattern(text: str, *, caseless: bool = False) -> Pattern:
    """A compiled pattern, kept for the next time.  Raises ExpansionFail."""
    return Pattern(text, caseless=caseless)
