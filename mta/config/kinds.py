"""The kinds of values that options take, in the spelling that Exim reads."""

from __future__ import annotations

from mta.base.errors import ConfigError, Where
from mta.base.text import is_number, lower
from mta.base.trust import Trusted
from mta.config.option import Kind
from mta.config.template import Template, template

_MULTIPLIERS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}


def _boolean(text: str, where: Where) -> bool:
    word = lower(text)
    if word in ("true", "yes"):
        return True
    if word in ("false", "no", ""):
        return False
    raise ConfigError(
        where, f'"{text}" is not a valid value for a boolean', "use true or false"
    )


def parse_integer(text: str, where: Where | None) -> int:
    """A number with an optional K, M or G; hexadecimal and octal as in C.

    Raises ConfigError.
    """
    digits, multiplier = text, 1
    if text[-1:] and lower(text[-1]) in _MULTIPLIERS and not lower(text).startswith("0x"):
        digits, multiplier = text[:-1], _MULTIPLIERS[lower(text[-1])]
    sign = -1 if digits.startswith("-") else 1
    digits = digits.removeprefix("-")
    try:
        if lower(digits).startswith("0x"):
            return sign * int(digits[2:], 16) * multiplier
        if not is_number(digits):
            raise ValueError
        base = 8 if len(digits) > 1 and digits.startswith("0") else 10
        return sign * int(digits, base) * multiplier
    except ValueError:
        raise ConfigError(where, f'"{text}" is not a number', "K, M or G may follow") from None


def _octal(text: str, where: Where) -> int:
    try:
        if not is_number(text):
            raise ValueError
        return int(text, 8)
    except ValueError:
        raise ConfigError(where, f'"{text}" is not an octal number') from None


def parse_time(text: str, where: Where | None) -> int:
    """Seconds of a duration such as 1w2d3h4m5s; a bare number is seconds.

    Raises ConfigError.
    """
    total, digits, units = 0, "", list(_UNITS)
    for character in text:
        if is_number(character):
            digits += character
        elif digits and character in units:
            total += int(digits) * _UNITS[character]
            units = units[units.index(character) + 1 :]
            digits = ""
        else:
            digits = ""
            break
    else:
        if digits:
            return total + int(digits)
        if text:
            return total
    raise ConfigError(where, f'"{text}" is not a time', "write it like 2h30m or 4d")


def show_time(seconds: int) -> str:
    """A duration in Exim's spelling."""
    parts = []
    for unit, length in _UNITS.items():
        if seconds >= length:
            parts.append(f"{seconds // length}{unit}")
            seconds %= length
    return "".join(parts) or "0s"


def _integer(text: str, where: Where) -> int:
    return parse_integer(text or "0", where)


def _time(text: str, where: Where) -> int:
    return parse_time(text or "0s", where)


def _optional(text: str, where: Where) -> Template | None:
    return template(text, where) if text else None


def _join_lines(first: Template | None, second: Template | None) -> Template | None:
    if first is None or second is None:
        return first or second
    return template(f"{first.text}\n{second.text}", first.where)


def _join_conditions(
    first: tuple[Template, ...], second: tuple[Template, ...]
) -> tuple[Template, ...]:
    return first + second


boolean: Kind[bool] = Kind("boolean", _boolean, lambda value: str(value).lower(), True)
integer: Kind[int] = Kind("integer", _integer, str)
octal: Kind[int] = Kind("octal integer", _octal, lambda value: f"{value:04o}")
size: Kind[int] = Kind("size", _integer, str)
time: Kind[int] = Kind("time", _time, show_time)
string: Kind[Trusted] = Kind("string", lambda text, where: Trusted(text), str)

# Text that is expanded when it is used; None when the option is not set.
expanded: Kind[Template | None] = Kind(
    "string, expanded", _optional, lambda value: value.text if value else ""
)


def _list_kind(name: str) -> Kind[Template | None]:
    return Kind(name, _optional, lambda value: value.text if value else "")


domain_list = _list_kind("domain list")
host_list = _list_kind("host list")
address_list = _list_kind("address list")
local_part_list = _list_kind("local part list")
string_list = _list_kind("string list")

# headers_add and headers_remove may stand several times: their lines are put together.
header_lines: Kind[Template | None] = Kind(
    "string, expanded, repeatable",
    _optional,
    lambda value: value.text if value else "",
    join=_join_lines,
)

# A router's `condition` may stand several times: all must hold.
conditions: Kind[tuple[Template, ...]] = Kind(
    "string, expanded, repeatable",
    lambda text, where: (template(text, where),) if text else (),
    lambda value: " and ".join(each.text for each in value),
    join=_join_conditions,
)
