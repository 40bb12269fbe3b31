"""Comparing: texts, texts without regard to case, numbers, patterns, lists, addresses."""

from __future__ import annotations

from collections.abc import Callable

from mta.base.text import lower, to_bytes
from mta.expand.context import Context
from mta.expand.ip import is_ipv4, is_ipv6
from mta.expand.numbers import integer
from mta.expand.registry import condition
from mta.expand.split import split_list
from mta.expand.trust import keep
from mta.lookup.pcre import pattern


@condition("eq", 2)
def eq(ctx: Context, left: str, right: str) -> bool:
    """True if both are the same, octet for octet.

    ${if eq{a}{a}{yes}{no}}${if eq{a}{A}{yes}{no}} → yesno
    """
    return left == right


@condition("eqi", 2)
def eqi(ctx: Context, left: str, right: str) -> bool:
    """True if both are the same but for the case of the letters A to Z.

    ${if eqi{Ab}{aB}{yes}{no}} → yes
    """
    return lower(left) == lower(right)


def _declare_orders() -> None:
    orders: dict[str, Callable[[bytes, bytes], bool]] = {
        "lt": lambda left, right: left < right,
        "le": lambda left, right: left <= right,
        "gt": lambda left, right: left > right,
        "ge": lambda left, right: left >= right,
    }
    words = {"lt": "before", "le": "not after", "gt": "after", "ge": "not before"}
    for name, holds in orders.items():
        yes = {"lt": "a}{b", "le": "a}{a", "gt": "b}{a", "ge": "b}{b"}[name]

        def cased(
            ctx: Context,
            left: str,
            right: str,
            holds: Callable[[bytes, bytes], bool] = holds,
        ) -> bool:
            return holds(to_bytes(left), to_bytes(right))

        def caseless(
            ctx: Context,
            left: str,
            right: str,
            holds: Callable[[bytes, bytes], bool] = holds,
        ) -> bool:
            return holds(to_bytes(lower(left)), to_bytes(lower(right)))

        about = (
            f"True if the first text stands {words[name]} the second in the order of octets"
        )
        cased.__doc__ = f"{about}.\n\n    ${{if {name}{{{yes}}}{{yes}}{{no}}}} → yes\n"
        caseless.__doc__ = (
            f"{about}, capitals counting as small letters.\n\n"
            f"    ${{if {name}i{{{yes.upper()}}}{{yes}}{{no}}}} → yes\n"  # ascii: ours
        )
        condition(name, 2)(cased)
        condition(name + "i", 2)(caseless)


_declare_orders()


def _equal(ctx: Context, left: str, right: str) -> bool:
    """True if both numbers are the same; K, M and G may follow them.

    ${if ={1K}{1024}{yes}{no}} → yes
    ${if =={5}{6}{yes}{no}} → no
    """
    return integer(left) == integer(right)


condition("=", 2)(_equal)
condition("==", 2)(_equal)


@condition("<", 2)
def less(ctx: Context, left: str, right: str) -> bool:
    """True if the first number is less than the second.

    ${if <{9}{10}{yes}{no}} → yes
    """
    return integer(left) < integer(right)


@condition("<=", 2)
def not_more(ctx: Context, left: str, right: str) -> bool:
    """True if the first number is not more than the second.

    ${if <={10}{10}{yes}{no}} → yes
    """
    return integer(left) <= integer(right)


@condition(">", 2)
def more(ctx: Context, left: str, right: str) -> bool:
    """True if the first number is more than the second.

    ${if >{1M}{1024K}{yes}{no}} → no
    """
    return integer(left) > integer(right)


@condition(">=", 2)
def not_less(ctx: Context, left: str, right: str) -> bool:
    """True if the first number is not less than the second.

    ${if >={1M}{1024K}{yes}{no}} → yes
    """
    return integer(left) >= integer(right)


@condition("match", 2)
def match(ctx: Context, subject: str, expression: str) -> bool:
    """True if the regular expression matches anywhere in the text; sets $0, $1 …

    ${if match{user@example.com}{^(.*)@(.*)\\$}{$2}} → example.com
    ${if match{ABC}{(?i)abc}{yes}{no}} → yes
    """
    groups = pattern(expression).groups(subject)
    if groups is None:
        return False
    ctx.captures = tuple(keep(subject, group) for group in groups)
    return True


def _in_list(ctx: Context, wanted: str, listing: str, caseless: bool) -> bool:
    sought = lower(wanted) if caseless else wanted
    for each in split_list(listing):
        if (lower(each) if caseless else each) == sought:
            ctx.values["value"] = each
            return True
    return False


@condition("inlist", 2)
def inlist(ctx: Context, wanted: str, listing: str) -> bool:
    """True if the text is an item of the list; $value is then that item.

    ${if inlist{b}{a:b:c}{yes}{no}} → yes
    ${if inlist{B}{a:b:c}{yes}{no}} → no
    """
    return _in_list(ctx, wanted, listing, False)


@condition("inlisti", 2)
def inlisti(ctx: Context, wanted: str, listing: str) -> bool:
    """The same without regard to the case of the letters A to Z.

    ${if inlisti{B}{a:b:c}{$value}{no}} → b
    """
    return _in_list(ctx, wanted, listing, True)


@condition("isip", 1)
def isip(ctx: Context, text: str) -> bool:
    """True for an IPv4 or IPv6 address.

    ${if isip{192.0.2.1}{yes}{no}}${if isip{1.2.3}{yes}{no}} → yesno
    """
    return is_ipv4(text) or is_ipv6(text)


@condition("isip4", 1)
def isip4(ctx: Context, text: str) -> bool:
    """True for an IPv4 address.

    ${if isip4{192.0.2.1}{yes}{no}}${if isip4{::1}{yes}{no}} → yesno
    """
    return is_ipv4(text)


@condition("isip6", 1)
def isip6(ctx: Context, text: str) -> bool:
    """True for an IPv6 address.

    ${if isip6{2001:db8::1}{yes}{no}}${if isip6{192.0.2.1}{yes}{no}} → yesno
    """
    return is_ipv6(text)
