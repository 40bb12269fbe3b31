"""Operators on numbers and times: eval, eval10, base62, base32, time intervals."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from mta.base.errors import ConfigError, ExpansionFail
from mta.base.text import is_number, lower, trim
from mta.config.kinds import parse_time, show_time
from mta.expand.numbers import HIGHEST, LOWEST, wrap
from mta.expand.registry import operator

_NEST_LIMIT = 100
_DECIMAL = re.compile(r"[0-9]+", re.ASCII)
_ANY_BASE = re.compile(r"0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*", re.ASCII)
_FACTORS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@operator("eval")
def evaluate(text: str) -> str:
    """Arithmetic on whole numbers of 64 bits, with C's operators and their precedence.

    Numbers may be hexadecimal or octal and may end in K, M or G.

    ${eval:(2+3)*4} → 20
    ${eval:-7/2} → -3
    ${eval:1M+1} → 1048577
    ${eval:010} → 8
    """
    return _Sum(text, _ANY_BASE).result()


@operator("eval10")
def evaluate_decimal(text: str) -> str:
    """The same, but all numbers are decimal, whatever they begin with.

    ${eval10:010} → 10
    """
    return _Sum(text, _DECIMAL).result()


def _left(shift: int) -> Callable[[int, int], int]:
    return lambda left, right: left << (right & 63) if shift > 0 else left >> (right & 63)


_LEVELS: tuple[dict[str, Callable[[int, int], int]], ...] = (
    {"|": lambda left, right: left | right},
    {"^": lambda left, right: left ^ right},
    {"&": lambda left, right: left & right},
    {"<<": _left(1), ">>": _left(-1)},
    {"+": lambda left, right: left + right, "-": lambda left, right: left - right},
)


class _Sum:
    """Works out one expression; `at` is the place it has reached."""

    def __init__(self, text: str, pattern: re.Pattern[str]) -> None:
        self.text = text
        self.pattern = pattern
        self.at = 0
        self.depth = 0

    def result(self) -> str:
        value = self.level(0)
        if self.at < len(self.text):
            raise self.wrong("expecting operator")
        return str(value)

    def level(self, level: int) -> int:
        """Operators of one level of precedence, from left to right."""
        if level == len(_LEVELS):
            return self.product()
        value = self.level(level + 1)
        while (mark := self.operator(_LEVELS[level])) != "":
            self.at += len(mark)
            right = self.level(level + 1)
            exact = _LEVELS[level][mark](value, right)
            if mark == "+" and value > 0 and right > 0 and exact > HIGHEST:
                raise self.wrong("overflow in sum")
            value = wrap(exact)
        return value

    def operator(self, known: dict[str, Callable[[int, int], int]]) -> str:
        return next((mark for mark in known if self.text.startswith(mark, self.at)), "")

    def product(self) -> int:
        value = self.unary()
        while (mark := self.text[self.at : self.at + 1]) and mark in "*/%":
            self.at += 1
            right = self.unary()
            if mark == "*":
                value = wrap(value * right)
            elif right == 0:
                raise self.wrong("divide by zero" if mark == "/" else "modulo by zero")
            else:
                value = self.divided(value, right, mark)
        return value

    def divided(self, left: int, right: int, mark: str) -> int:
        """Division towards zero, as C does it."""
        if left == LOWEST and right == -1:
            return HIGHEST if mark == "/" else 0
        quotient = abs(left) // abs(right)
        if (left < 0) != (right < 0):
            quotient = -quotient
        return quotient if mark == "/" else left - quotient * right

    def unary(self) -> int:
        self.skip()
        mark = self.text[self.at : self.at + 1]
        if not mark or mark not in "+-~":
            return self.number()
        self.deeper()
        self.at += 1
        value = self.unary()
        self.depth -= 1
        return wrap(-value) if mark == "-" else ~value if mark == "~" else value

    def number(self) -> int:
        if self.text.startswith("(", self.at):
            self.deeper()
            self.at += 1
            value = self.level(0)
            if not self.text.startswith(")", self.at):
                raise self.wrong("expecting closing parenthesis")
            self.at += 1
            self.depth -= 1
        else:
            value = self.literal()
        self.skip()
        return value

    def literal(self) -> int:
        found = self.pattern.match(self.text, self.at)
        if found is None:
            raise self.wrong("expecting number or opening parenthesis")
        self.at = found.end()
        digits = found[0][:70]
        value = int(digits, _base(digits) if self.pattern is _ANY_BASE else 10)
        value = min(value, HIGHEST)
        suffix = lower(self.text[self.at : self.at + 1])
        if suffix in _FACTORS:
            self.at += 1
            value = wrap(value * _FACTORS[suffix])
        return value

    def skip(self) -> None:
        while self.text[self.at : self.at + 1] in (" ", "\t", "\n"):
            self.at += 1

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > _NEST_LIMIT:
            raise self.wrong("expression nested too deep")

    def wrong(self, reason: str) -> ExpansionFail:
        done = self.text[: self.at]
        return ExpansionFail(
            f'error in expression evaluation: {reason} (after processing "{done}")'
        )


def _base(digits: str) -> int:
    if lower(digits[:2]) == "0x":
        return 16
    return 8 if len(digits) > 1 and digits[0] == "0" else 10


def _natural(text: str, name: str) -> int:
    if not is_number(text) or len(text) > 20:
        raise ExpansionFail(
            f'argument for {name} operator is "{text}", which is not a decimal number'
        )
    return int(text)


def _digits(number: int, alphabet: str) -> str:
    found = ""
    while number:
        number, rest = divmod(number, len(alphabet))
        found = alphabet[rest] + found
    return found


def _undigits(text: str, alphabet: str, name: str) -> int:
    total = 0
    for letter in text:
        value = alphabet.find(letter)
        if value < 0 or total > HIGHEST:
            raise ExpansionFail(
                f'argument for {name}d operator is "{text}",'
                f" which is not a {name.replace('base', 'base ')} number"
            )
        total = total * len(alphabet) + value
    return total


@operator("base62")
def base62(text: str) -> str:
    """A number in base 62, with six digits or more.

    ${base62:1000} → 0000G8
    """
    return _digits(_natural(text, "base62"), _BASE62).rjust(6, "0")


@operator("base62d")
def base62d(text: str) -> str:
    """A number in base 62 as a decimal one.

    ${base62d:0000G8} → 1000
    """
    return str(_undigits(text, _BASE62, "base62"))


@operator("base32")
def base32(text: str) -> str:
    """A number in base 32, in small letters and the digits 2 to 7.

    ${base32:1234567} → bfvuh
    """
    return _digits(_natural(text, "base32"), _BASE32)


@operator("base32d")
def base32d(text: str) -> str:
    """A number in base 32 as a decimal one.

    ${base32d:bfvuh} → 1234567
    """
    return str(_undigits(text, _BASE32, "base32"))


@operator("time_eval")
def time_eval(text: str) -> str:
    """A time such as 1h5m in seconds.

    ${time_eval:1h5m} → 3900
    """
    try:
        if is_number(text):
            raise ConfigError(None, "a unit is needed")
        return str(parse_time(text, None))
    except ConfigError:
        raise ExpansionFail(
            f'string "{text}" is not an Exim time interval in "time_eval" operator'
        ) from None


@operator("time_interval")
def time_interval(text: str) -> str:
    """Seconds as a time such as 1h5m.

    ${time_interval:90061} → 1d1h1m1s
    """
    if not is_number(trim(text)) or len(text) > 18:
        raise ExpansionFail(
            f'string "{text}" is not a positive number in "time_interval" operator'
        )
    return show_time(int(trim(text)))


@operator("randint")
def randint(text: str) -> str:
    """A number from 0 to one less than this, by chance; not fit for secrets.

    ${randint:1} → 0
    """
    limit = _natural(trim(text), "randint")
    return str(random.randrange(max(1, limit)))
