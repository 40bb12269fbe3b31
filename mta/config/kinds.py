"""The kinds of values that options take, in the spelling that Exim reads."""

from __future__ import annotations

import itertools
from functools import lru_cache

from mta.base.errors import ConfigError, Where
from mta.base.text import BLANKS, SPACES, is_number, lower, upper
from mta.base.trust import Trusted
from mta.config.option import DEFAULT, BadValue, Kind
from mta.config.template import Template, Unexpanded, template

_MULTIPLIERS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_LARGEST_INTEGER = (1 << 31) - 1
_LARGEST_SIZE = (1 << 63) - 1
_MOST_DIGITS = 20


def _boolean(text: str, where: Where) -> bool:
    word = lower(text)
    if word in ("true", "yes"):
        return True
    if word in ("false", "no"):
        return False
    if not word:  # "name =" switches on, and an option without a default is off
        return where is not DEFAULT
    raise BadValue(f'"{text}" is not a valid value for the "', '" option', "use true or false")


def _number(text: str, largest: int) -> int:
    """As strtol does it: hexadecimal and octal as in C; then an optional multiplier."""
    unsigned = text.removeprefix("-").removeprefix("+")
    base, digits = 10, "0123456789"
    if lower(unsigned[:2]) == "0x" and lower(unsigned[2:3]) in tuple(_HEXADECIMAL):
        base, digits, unsigned = 16, _HEXADECIMAL, unsigned[2:]
    elif unsigned.startswith("0"):
        base, digits = 8, "01234567"
    end = 0
    while end < len(unsigned) and lower(unsigned[end]) in digits:
        end += 1
    if not end:
        raise BadValue("integer expected for ", "", "K, M or G may follow")
    rest = unsigned[end:]
    # The digits are counted first: a million of them take Python for ever.
    value = (
        int(unsigned[:end], base) if len(unsigned[:end].lstrip("0")) <= _MOST_DIGITS else -1
    )
    if rest and lower(rest[0]) in _MULTIPLIERS:
        value *= _MULTIPLIERS[lower(rest[0])]
        rest = rest[1:]
    if value < 0 or value > largest:
        raise BadValue(f'absolute value of integer "{text}" is too large (overflow) for ')
    _nothing_follows(rest, "integer value for ")
    return -value if text.startswith("-") else value


_HEXADECIMAL = "0123456789abcdef"


def _nothing_follows(rest: str, what: str) -> None:
    rest = rest.lstrip(SPACES)
    if rest:
        comment = " (# is comment only at line start)" if rest.startswith("#") else ""
        raise BadValue(f"extra characters follow {what}", comment)


@lru_cache(100)
def parse_integer(text: str, where: Where | None) -> int:
    """A number with an optional K, M or G; hexadecimal and octal as in C.

    Raises ConfigError.
    """
    try:
        return _number(text, _LARGEST_SIZE)
    except BadValue:
        raise ConfigError(where, f'"{text}" is not a number', "K, M or G may follow") from None


def _integer(text: str, where: Where) -> int:
    return 0 if where is DEFAULT and not text else _number(text, _LARGEST_INTEGER)


def _size(text: str, where: Where) -> int:
    return 0 if where is DEFAULT and not text else _number(text, _LARGEST_SIZE)


def show_size(octets: int) -> str:
    """A size in Exim's spelling: in G, M or K where that says it all."""
    for letter in "gmk":
        if octets and octets % _MULTIPLIERS[letter] == 0:
            return f"{octets // _MULTIPLIERS[letter]}{upper(letter)}"
    return str(octets)


def _octal(text: str, where: Where) -> int:
    if where is DEFAULT and not text:
        return 0
    end = 0
    while end < len(text) and text[end] in "01234567":
        end += 1
    if not end:
        raise BadValue("octal integer expected for ")
    _nothing_follows(text[end:], "octal integer value for ")
    if end > _MOST_DIGITS:
        raise BadValue(f'absolute value of integer "{text}" is too large (overflow) for ')
    return int(text[:end], 8)


def _seconds(text: str) -> int | None:
    total, position = 0, 0
    while position < len(text):
        end = position
        while is_number(text[end : end + 1]):
            end += 1
        unit = _UNITS.get(text[end : end + 1])
        if end == position or end - position > _MOST_DIGITS or unit is None:
            return None
        total += int(text[position:end]) * unit
        position = end + 1
    return total if text and total <= _LARGEST_INTEGER else None


def parse_time(text: str, where: Where | None) -> int:
    """Seconds of a duration such as 1w2d3h4m5s.

    Raises ConfigError.
    """
    if (seconds := _seconds(text)) is None:
        raise ConfigError(where, f'"{text}" is not a time', "write it like 2h30m or 4d")
    return seconds


def _time(text: str, where: Where) -> int:
    if where is DEFAULT and not text:
        return 0
    if (seconds := _seconds(text)) is None:
        raise BadValue("invalid time value for ", "", "write it like 2h30m or 4d")
    return seconds


def show_time(seconds: int) -> str:
    """A duration in Exim's spelling."""
    parts = []
    for unit, length in _UNITS.items():
        if seconds >= length:
            parts.append(f"{seconds // length}{unit}")
            seconds %= length
    return "".join(parts) or "0s"


def _optional(text: str, where: Where) -> Template | None:
    return template(text, where) if text else None


def _expanded_boolean(text: str, where: Where) -> bool | Template:
    return template(text, where) if "$" in text else _boolean(text, where)


def _expanded_number(text: str, where: Where) -> Template | None:
    if text and "$" not in text:  # it will not change any more, so it can be judged now
        _number(text, _LARGEST_SIZE)
    return _optional(text, where)


def _join_lines(first: Template | None, second: Template | None) -> Template | None:
    if first is None or second is None:
        return first or second
    return template(f"{first.text}\n{second.text}", first.where)


def _join_conditions(
    first: tuple[Template, ...], second: tuple[Template, ...]
) -> tuple[Template, ...]:
    return first + second


boolean: Kind[bool] = Kind(
    "boolean",
    _boolean,
    lambda value: "true" if value else "false",
    is_boolean=True,
    takes_quotes=False,
)
integer: Kind[int] = Kind("integer", _integer, str, takes_quotes=False)
octal: Kind[int] = Kind(
    "octal integer", _octal, lambda value: f"{value:04o}", takes_quotes=False
)
size: Kind[int] = Kind("size", _size, show_size, takes_quotes=False)
time: Kind[int] = Kind("time", _time, show_time, takes_quotes=False)
string: Kind[Trusted] = Kind("string", lambda text, where: Trusted(text), str)

# Text that is expanded when it is used; None when the option is not set.
expanded: Kind[Template | None] = Kind(
    "string, expanded", _optional, lambda value: value.text if value else ""
)

# The same where an empty value, too, says something.
expanded_or_empty: Kind[Template | None] = Kind(
    "string, expanded",
    lambda text, where: template(text, where) if text or where is not DEFAULT else None,
    lambda value: value.text if value else "",
)

# A command: split into words first, and each word expanded by itself when it is used.
command: Kind[Unexpanded | None] = Kind(
    "command, expanded",
    lambda text, where: Unexpanded(Trusted(text), where) if text else None,
    lambda value: value.text if value else "",
)

# A number that may also be text with "$", which is expanded to one when it is used.
expanded_integer: Kind[Template | None] = Kind(
    "integer, expanded", _expanded_number, lambda value: value.text if value else ""
)


def _list_kind(name: str) -> Kind[Template | None]:
    return Kind(name, _optional, lambda value: value.text if value else "")


domain_list = _list_kind("domain list")
host_list = _list_kind("host list")
address_list = _list_kind("address list")
local_part_list = _list_kind("local part list")
string_list = _list_kind("string list")


def _times(text: str, where: Where) -> tuple[int, ...]:
    times = tuple([parse_time(each.strip(BLANKS), where) for each in text.split(":") if each])
    if any(late <= early for early, late in itertools.pairwise(times)):
        raise ConfigError(where, f"the times {text} do not grow")
    return times if any(times) else ()


times = Kind("list of times", _times, lambda value: ":".join(map(show_time, value)) or "0s")

# A boolean that may also be text with "$": that is expanded to true or false when it is used.
expanded_boolean: Kind[bool | Template] = Kind(
    "boolean, expanded",
    _expanded_boolean,
    lambda value: (
        value.text if isinstance(value, Template) else ("true" if value else "false")
    ),
    is_boolean=True,
)

# headers_add and headers_remove may stand several times: their lines are put together.
header_lines: Kind[Template | None] = Kind(
    "string, expanded, repeatable",
    _optional,
    lambda value: value.text if value else "",
    join=_join_lines,
)

# A router's `set` may stand several times: one list of definitions after the other.
settings: Kind[tuple[Template, ...]] = Kind(
    "string list, repeatable",
    lambda text, where: (template(text, where),) if text else (),
    lambda value: " ; ".join(each.text for each in value),
    join=_join_conditions,
)

# A router's `condition` may stand several times: all must hold.
conditions: Kind[tuple[Template, ...]] = Kind(
    "string, expanded, repeatable",
    lambda text, where: (template(text, where),) if text else (),
    lambda value: " and ".join(each.text for each in value),
    join=_join_conditions,
)
